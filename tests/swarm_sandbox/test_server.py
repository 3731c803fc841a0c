"""The runner as a real process over real HTTP, running real commands."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PYTHON = sys.executable
SOURCE = Path(__file__).resolve().parents[2] / "agent_image"


class Server(NamedTuple):
    process: subprocess.Popen[bytes]
    port: int
    work: Path

    def post(self, body: bytes, path: str = "/v1/run", length: str = "") -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Content-Length": length} if length else {}
            connection.request("POST", path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def run(self, *steps: dict[str, Any], files: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
        status, answer = self.post(request(*steps, files=files, **spec))
        assert status == 200, answer
        return answer


def request(*steps: dict[str, Any], files: dict[str, str] | None = None, **spec: Any) -> bytes:
    return archive(
        {"run.json": json.dumps({"steps": steps, **spec})}
        | {f"tree/{path}": text for path, text in (files or {}).items()}
    )


def archive(files: dict[str, str], *members: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
        for member in members:
            tar.addfile(member)
    return out.getvalue()


def python(code: str, **more: Any) -> dict[str, Any]:
    return {"name": "step", "argv": [PYTHON, "-c", code], **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = start(tmp_path_factory.mktemp("work"), parallel=2)
    yield started
    started.process.terminate()
    assert started.process.wait(timeout=20) == 0


def start(work: Path, *, parallel: int) -> Server:
    port = free_port()
    process = subprocess.Popen(
        [PYTHON, "-m", "swarm_sandbox"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCE),
            "SANDBOX_LISTEN": f"127.0.0.1:{port}",
            "SANDBOX_WORK_DIR": str(work),
            "SANDBOX_MAX_PARALLEL": str(parallel),
            "PARENT_SECRET": "must not be seen",
        },
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert b"runner serves" in process.stderr.readline()
    return Server(process, port, work)


def test_steps_run_in_the_tree_and_say_how_they_ended(server: Server) -> None:
    answer = server.run(
        python("print(open('src/a.txt').read(), end='')"),
        {"name": "bad", "argv": [PYTHON, "-c", "import sys; print('err', file=sys.stderr); sys.exit(3)"]},
        {"name": "skipped", "argv": ["true"]},
        {"name": "cleanup", "argv": ["true"], "always": True},
        files={"src/a.txt": "hällo"},
    )
    codes = [(s["name"], s["exit_code"], s["output"]) for s in answer["steps"]]
    assert codes == [("step", 0, "hällo"), ("bad", 3, "err\n"), ("skipped", None, ""), ("cleanup", 0, "")]
    assert answer["steps"][0]["duration_seconds"] > 0


def test_the_environment_is_clean_and_home_is_fresh(server: Server) -> None:
    code = "import os, json; print(json.dumps([dict(os.environ), os.listdir(os.environ['HOME'])]))"
    environment, listing = json.loads(server.run(python(code, env={"MINE": "1"}))["steps"][0]["output"])
    assert {k for k in environment if k != "LC_CTYPE"} == {"PATH", "HOME", "TMPDIR", "LANG", "MINE"}
    assert Path(environment["HOME"]).name.startswith("swarm-run-")
    assert listing == ["tmp"]


def test_arguments_reach_the_program_without_a_shell(server: Server) -> None:
    code = "import sys; print(sys.argv[1])"
    step = {"name": "s", "argv": [PYTHON, "-c", code, "$(id); `id` && *"]}
    assert server.run(step)["steps"][0]["output"] == "$(id); `id` && *\n"


def test_a_program_that_does_not_exist_is_a_failed_step(server: Server) -> None:
    step = server.run({"name": "s", "argv": ["no-such-program"]})["steps"][0]
    assert step["exit_code"] == 127
    assert "no-such-program" in step["output"]


def test_a_step_beyond_its_time_is_killed_with_its_children(server: Server) -> None:
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([{PYTHON!r}, '-c', 'import time; time.sleep(300)'], start_new_session=True)\n"
        "print(p.pid, flush=True); time.sleep(300)"
    )
    begin = time.monotonic()
    step = server.run(python(code, timeout_seconds=0.7))["steps"][0]
    assert (step["exit_code"], step["timed_out"]) == (124, True)
    assert time.monotonic() - begin < 10
    assert not Path("/proc", step["output"].strip()).exists()


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.environ.clear()
        open('pid', 'w').write(str(os.getpid()))
        time.sleep(300)
    os._exit(0)
os.wait()
while not os.path.exists('pid') or not open('pid').read(): pass
"""


def test_a_daemon_left_behind_by_a_step_is_killed_when_the_step_ends(server: Server) -> None:
    answer = server.run(python(DAEMON), artifacts=["pid"])
    assert answer["steps"][0]["exit_code"] == 0
    pid = base64.b64decode(answer["artifacts"]["pid"]).decode()
    assert not Path("/proc", pid).exists()


def test_a_step_that_kills_its_supervisor_fails_and_leaves_nothing(server: Server) -> None:
    code = (
        "import os, signal, time; open('pid', 'w').write(str(os.getpid()))\n"
        "os.kill(os.getppid(), signal.SIGKILL); time.sleep(300)"
    )
    answer = server.run(python(code), artifacts=["pid"])
    assert answer["steps"][0]["exit_code"] == 137
    assert not Path("/proc", base64.b64decode(answer["artifacts"]["pid"]).decode()).exists()


def test_a_signal_counts_as_a_failure(server: Server) -> None:
    assert server.run(python("import os; os.kill(os.getpid(), 11)"))["steps"][0]["exit_code"] == 139


def test_only_the_tail_of_a_long_output_is_kept(server: Server) -> None:
    step = server.run(python("print('x' * 1_000_000); print('the end')"))["steps"][0]
    assert step["output"].endswith("x\nthe end\n")
    assert len(step["output"]) < 66_000
    assert re.match(r"\[\d+ bytes left out\]\n", step["output"])


def test_artifacts_are_returned_and_links_are_not_followed(server: Server) -> None:
    code = (
        "import os; os.makedirs('out/deep'); open('out/deep/junit.xml','wb').write(b'\\x00ok')\n"
        "os.symlink('/etc/passwd', 'out/secret.xml'); os.symlink('/etc', 'out/etc')\n"
        "os.mkfifo('out/pipe.xml'); open('out/big.xml', 'wb').truncate(5 * 1024 * 1024)"
    )
    answer = server.run(python(code), artifacts=["out/**/*.xml", "out/etc/*"])
    assert {p: base64.b64decode(c) for p, c in answer["artifacts"].items()} == {"out/deep/junit.xml": b"\0ok"}


def test_the_toolchain_is_linked_below_opt_only(server: Server, tmp_path: Path) -> None:
    target = next(p for p in Path("/opt").iterdir() if p.is_dir())
    step = python("import os; print(os.readlink('node_modules'))")
    answer = server.run(step, links={"node_modules": str(target)}, files={"node_modules/x": "gives way"})
    assert answer["steps"][0]["output"].strip() == str(target)
    for bad in (str(tmp_path), "/opt/../etc", "/opt/no-such-folder"):
        status, refusal = server.post(request(step, links={"node_modules": bad}))
        assert (status, "node_modules" in refusal["error"]) == (400, True)


def test_a_limit_on_file_size_holds(server: Server) -> None:
    step = server.run(python("open('big', 'wb').truncate(2 * 1024**3)"))["steps"][0]
    assert step["exit_code"] != 0
    assert "File too large" in step["output"]


def test_nothing_of_a_run_stays_on_disk(server: Server) -> None:
    server.run(
        python("import os; os.makedirs('a/b'); open('a/b/f','w'); os.chmod('a/b', 0); os.chmod('a', 0)")
    )
    assert not list(server.work.glob("swarm-run-*"))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"no tar", "tar"),
        (archive({"tree/a": ""}), "run.json: must be in the tar"),
        (archive({"run.json": "{"}), "must be JSON"),
        (archive({"run.json": '{"steps": []}'}), "steps: must be a list of 1 to 32"),
        (archive({"run.json": '{"steps": [{"name": "a", "argv": []}], "x": 1}'}), "x: must not be there"),
        (archive({"run.json": '{"steps": [{"name": "a", "argv": ["a"], "timeout_seconds": 0}]}'}), "timeout"),
        (
            archive({"run.json": '{"steps": [{"name": "a", "argv": ["a"]}]}', "../x": ""}),
            "must be run.json or",
        ),
        (archive({"tree/../../x": ""}), "must be relative"),
        (archive({"tree//etc/x": ""}), "must be relative"),
    ],
)
def test_a_malformed_request_is_refused_with_its_faults(server: Server, body: bytes, complaint: str) -> None:
    status, answer = server.post(body)
    assert status == 400
    assert complaint in answer["error"]


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_devices_pipes_and_hard_links_are_refused(server: Server, kind: bytes) -> None:
    spec = {"run.json": json.dumps({"steps": [python("pass")]})}
    status, answer = server.post(archive(spec, member("tree/x", kind, "tree/y")))
    assert status == 400
    assert "must be a plain file" in answer["error"]


def test_links_inside_the_tree_work_and_links_out_of_it_are_left_out(server: Server) -> None:
    code = "import os; print(sorted(os.listdir('.')), open('inner').read())"
    links = (
        member("tree/inner", tarfile.SYMTYPE, "docs/a.md"),
        member("tree/outer", tarfile.SYMTYPE, "/etc/passwd"),
        member("tree/docs/up", tarfile.SYMTYPE, "../../../x"),
    )
    body = archive({"run.json": json.dumps({"steps": [python(code)]}), "tree/docs/a.md": "text"}, *links)
    status, answer = server.post(body)
    assert (status, answer["steps"][0]["output"]) == (200, "['docs', 'inner'] text\n")


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: Server) -> None:
    assert server.post(b"", length=str(65 * 1024 * 1024))[0] == 413


def test_health_is_answered_and_other_paths_are_not(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b'{"status":"ok"}'
    assert server.post(b"", path="/other")[0] == 404


def test_a_busy_runner_says_so_and_a_drained_one_finishes_its_run(tmp_path: Path) -> None:
    server = start(tmp_path, parallel=1)
    go = tmp_path / "go"
    started = tmp_path / "started"
    code = f"import os\nopen({str(started)!r}, 'w')\nwhile not os.path.exists({str(go)!r}): pass"
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(server.run(python(code))))
    thread.start()
    while not started.exists():
        pass
    assert server.post(request(python("pass")))[0] == 503
    server.process.send_signal(signal.SIGTERM)
    go.touch()
    thread.join(timeout=20)
    assert answers[0]["steps"][0]["exit_code"] == 0
    assert server.process.wait(timeout=20) == 0

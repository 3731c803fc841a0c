"""The agent from claim to report: real hub, git, sandbox and SDKs; only the model's words are scripted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_support import ROOT, TOKEN, Stall, Trouble, World, files, world
from swarmrun.core.task import ChangeSet, Failure, FailureKind, FileEdit, Task, TaskType
from swarmrun.queue.port import Claimed

GOOD = "def add(a, b):\n    return a + b\n"


def task(**more: Any) -> Task:
    return Task(
        **{
            "id": "add",
            "type": TaskType.IMPLEMENT_ENDPOINT,
            "title": "Add numbers",
            "owned": ("src/*.py",),
            "reads": ("docs/*.md",),
            "tests": ("tests/*.py",),
            "spec": {"project": {"name": "Shop"}, "endpoint": {"method": "GET"}},
        }
        | more
    )


def contents(change_set: ChangeSet) -> dict[str, str | None]:
    return {e.path: e.content if e.action == "write" else None for e in change_set.edits}


@pytest.mark.parametrize("provider", ["OpenAI", "OpenAICompatible", "Anthropic"])
async def test_a_task_ends_in_a_change_set_in_every_dialect(
    tmp_path: Path, sandbox_url: str, agent: Any, provider: Any
) -> None:
    async with world(tmp_path, sandbox_url, provider) as swarm:
        head = swarm.repository.commit({"docs/a.md": "Read me.\n", "src/old.py": "x = 1\n"}, "docs: begin")
        swarm.model.plays("I add.\n\n" + files(src__add=GOOD))
        await swarm.enqueue(task())
        async with agent(swarm):
            verb, change_set = await swarm.report()
    assert verb == "submit"
    assert contents(change_set) == {"src/add.py": GOOD}
    assert (change_set.base, change_set.summary) == (head, "I add.")
    (asked,) = swarm.model.asked
    user = swarm.model.users(0)[0]
    assert "## Task\n\n- id: add\n" in user
    assert "```markdown:docs/a.md\nRead me.\n```" in user
    assert f"- {head[:10]} docs: begin" in user
    limits = {k: v for k, v in asked.items() if k.startswith("max_")}
    assert limits == {"max_completion_tokens" if provider == "OpenAI" else "max_tokens": 1000}
    assert not {"temperature", "top_p"} & asked.keys()
    assert "Plain Python." in json.dumps(asked.get("system") or asked["messages"][0])


async def test_an_empty_repository_gets_the_scaffold_with_the_template_on_top(
    swarm: World, agent: Any
) -> None:
    swarm.model.plays("```toml:settings.toml\ndebug = true\n```\n```python:src/app.py\nx = 1\n```\nFILES: 2")
    await swarm.enqueue(task(id="scaffold", type=TaskType.SCAFFOLD, owned=("**",)))
    async with agent(swarm):
        _, change_set = await swarm.report()
    assert change_set.base == ""
    assert contents(change_set) == {"settings.toml": "debug = false\n", "src/app.py": "x = 1\n"}


async def test_a_red_check_is_repaired_with_its_output(swarm: World, agent: Any) -> None:
    swarm.repository.commit({"tests/t.py": "from src.add import add\nassert add(1, 2) == 3, 'wrong sum'\n"})
    swarm.model.plays(files(src__add="def add(a, b):\n    return a\n"), files(src__add=GOOD))
    await swarm.enqueue(task())
    async with agent(swarm):
        verb, change_set = await swarm.report()
    assert (verb, contents(change_set)) == ("submit", {"src/add.py": GOOD})
    first, second = swarm.model.users(1)
    assert second.startswith("## Check failed\n\n### test\n\nexit code 1\n")
    assert "wrong sum" in second
    assert first == swarm.model.users(0)[0]


async def test_a_check_that_stays_red_fails_the_attempt_with_the_evidence(swarm: World, agent: Any) -> None:
    swarm.model.plays(*[files(src__add="def (")] * 3, files(src__add=GOOD))
    await swarm.enqueue(task())
    async with agent(swarm):
        verb, failure = await swarm.report()
        assert (verb, failure.kind, failure.step) == ("fail", FailureKind.CHECK, "compile")
        assert "SyntaxError" in failure.output
        await swarm.report()
    assert "### check compile" in swarm.model.users(3)[0]
    assert "- attempt: 2" in swarm.model.users(3)[0]


async def test_tests_that_run_and_fail_are_submitted_for_the_gates_to_judge(swarm: World, agent: Any) -> None:
    red = "assert False, 'the implementation is wrong'\n"
    swarm.model.plays(*[files(tests__t=red)] * 3)
    await swarm.enqueue(task(id="tests", type=TaskType.WRITE_TESTS, owned=("tests/*.py",)))
    async with agent(swarm):
        verb, change_set = await swarm.report()
    assert (verb, contents(change_set)) == ("submit", {"tests/t.py": red})


async def test_tests_that_do_not_even_compile_are_not_submitted(swarm: World, agent: Any) -> None:
    swarm.model.plays(*[files(tests__t="def (")] * 3)
    await swarm.enqueue(task(id="tests", type=TaskType.WRITE_TESTS, owned=("tests/*.py",)))
    async with agent(swarm):
        verb, failure = await swarm.report()
    assert (verb, failure.kind) == ("fail", FailureKind.CHECK)


async def test_an_unusable_answer_is_asked_for_again_with_its_faults(swarm: World, agent: Any) -> None:
    swarm.model.plays("```python:src/add.py\nx", "", files(src__add=GOOD))
    await swarm.enqueue(task())
    async with agent(swarm):
        verb, _ = await swarm.report()
    assert verb == "submit"
    assert "must be closed before the answer ends" in swarm.model.users(1)[1]
    assert len(swarm.model.users(2)) == 2
    assert "must end with the line FILES" in swarm.model.users(2)[1]


async def test_four_unusable_answers_fail_the_attempt(swarm: World, agent: Any) -> None:
    swarm.model.plays(*["no files"] * 4, Stall())
    await swarm.enqueue(task())
    async with agent(swarm):
        verb, failure = await swarm.report()
    assert (verb, failure.kind) == ("fail", FailureKind.FORMAT)
    assert "must end with the line FILES" in failure.output


async def test_an_answer_cut_at_the_limit_is_asked_for_again_with_fewer_files(
    swarm: World, agent: Any
) -> None:
    swarm.model.plays(Trouble(stop="length", text=files(src__add="half")), files(src__add=GOOD))
    await swarm.enqueue(task())
    async with agent(swarm):
        _, change_set = await swarm.report()
    assert contents(change_set) == {"src/add.py": GOOD}
    (user,) = swarm.model.users(1)
    assert user.startswith(swarm.model.users(0)[0])
    assert "limit of 1000 tokens" in user


async def test_an_answer_too_long_for_one_call_arrives_in_parts(swarm: World, agent: Any) -> None:
    cut = files(src__add=GOOD).rpartition("FILES:")[0] + "```python:src/sub.py\nhalf"
    swarm.model.plays(Trouble(stop="length", text=cut), files(src__sub="def sub() -> None: ...\n"))
    await swarm.enqueue(task())
    async with agent(swarm):
        _, change_set = await swarm.report()
    assert sorted(contents(change_set)) == ["src/add.py", "src/sub.py"]
    request = swarm.model.users(1)[-1]
    assert "## Answer cut off" in request
    assert "- src/add.py" in request


async def test_edits_of_others_paths_are_refused_and_never_submitted(swarm: World, agent: Any) -> None:
    swarm.repository.commit({"tests/t.py": "assert True\n"})
    bad = files(src__add=GOOD, tests__t="assert 1\n")
    swarm.model.plays(bad, bad, bad, bad, Stall())
    await swarm.enqueue(task())
    async with agent(swarm):
        verb, failure = await swarm.report()
    assert (verb, failure.kind) == ("fail", FailureKind.OWNERSHIP)
    assert "tests/t.py: must be one of the task's own paths" in swarm.model.users(1)[1]


async def test_nothing_is_written_through_a_link_of_the_repository(swarm: World, agent: Any) -> None:
    swarm.repository.commit({"src": "/etc"}, mode="120000")
    swarm.model.plays(files(src__passwd="x = 1\n"), Trouble(status=400, code="enough"), Stall())
    await swarm.enqueue(task())
    async with agent(swarm):
        verb, failure = await swarm.report()
    assert (verb, failure.kind) == ("fail", FailureKind.MODEL)
    assert "src/passwd.py: must not lie below a file" in swarm.model.users(1)[1]


async def test_a_fix_works_on_the_stack_and_submits_its_own_edits_only(swarm: World, agent: Any) -> None:
    head = swarm.repository.commit({"tests/t.py": "from src.add import add\nassert add(1, 2) == 3\n"})
    await swarm.enqueue(task())
    claimed = await swarm.queue.claim("pod-9", ttl_seconds=60)
    assert isinstance(claimed, Claimed)
    broken = (
        FileEdit(
            path="src/add.py", content="from src.help import plus\ndef add(a, b):\n    return plus(a, 0)\n"
        ),
        FileEdit(path="src/help.py", content="def plus(a, b):\n    return a + b\n"),
    )
    await swarm.queue.submit(claimed.lease, ChangeSet(base=head, edits=broken))
    await swarm.report()
    (submission,) = await swarm.queue.submissions(limit=1, timeout_seconds=0)
    fix = task(id="fix.add", type=TaskType.FIX_BUG, title="Fix", fix_of="add")
    evidence = Failure(kind=FailureKind.GATE, step="test", message="1 failed", output="AssertionError")
    await swarm.queue.reject(submission, evidence, fix)
    repaired = "from src.help import plus\ndef add(a, b):\n    return plus(a, b)\n"
    swarm.model.plays(files(src__add=repaired))
    async with agent(swarm):
        verb, change_set = await swarm.report()
    assert (verb, contents(change_set)) == ("submit", {"src/add.py": repaired})
    user = swarm.model.users(0)[0]
    assert "return plus(a, 0)" in user
    assert "python:src/help.py" in user
    assert "### gate test\n\n1 failed\n\n```text\nAssertionError" in user


async def test_overload_is_waited_out_and_spends_no_attempt(swarm: World, agent: Any) -> None:
    swarm.model.plays(
        Trouble(status=429, code="rate_limit", headers={"Retry-After": "0"}),
        Trouble(status=503, code="overloaded", headers={"Retry-After": "0"}),
        Trouble(stop="", text=files(src__add="cut off")),
        files(src__add=GOOD),
    )
    await swarm.enqueue(task())
    async with agent(swarm):
        verb, change_set = await swarm.report()
    assert (verb, contents(change_set)) == ("submit", {"src/add.py": GOOD})
    (user,) = swarm.model.users(3)
    assert "- attempt: 1" in user


async def test_a_model_that_stays_away_gives_the_claim_back(
    tmp_path: Path, sandbox_url: str, agent: Any
) -> None:
    async with world(tmp_path, sandbox_url, task_timeout_seconds=2) as swarm:
        swarm.model.plays(Trouble(status=429, code="rate_limit", headers={"Retry-After": "30"}), Stall())
        await swarm.enqueue(task())
        async with agent(swarm):
            verb, reason = await swarm.report()
    assert verb == "release"
    assert "429" in reason


async def test_a_refusal_fails_the_attempt_without_asking_again(swarm: World, agent: Any) -> None:
    swarm.model.plays(Trouble(stop="content_filter"), Stall())
    await swarm.enqueue(task())
    async with agent(swarm):
        verb, failure = await swarm.report()
    assert (verb, failure.kind) == ("fail", FailureKind.MODEL)


async def test_an_exhausted_budget_gives_the_claim_back(swarm: World, agent: Any) -> None:
    await swarm.queue.set_limit(1)
    await swarm.enqueue(task())
    async with agent(swarm):
        assert await swarm.report() == ("release", "budget")
    assert not swarm.model.asked


async def test_an_attempt_beyond_its_time_fails(tmp_path: Path, sandbox_url: str, agent: Any) -> None:
    async with world(tmp_path, sandbox_url, task_timeout_seconds=1) as swarm:
        swarm.model.plays(Stall(), Stall())
        await swarm.enqueue(task())
        async with agent(swarm):
            verb, failure = await swarm.report()
    assert (verb, failure.kind) == ("fail", FailureKind.TIMEOUT)


async def test_a_stale_lease_stops_the_work_at_once(tmp_path: Path, sandbox_url: str, agent: Any) -> None:
    async with world(tmp_path, sandbox_url, lease_seconds=1) as swarm:
        swarm.model.plays(Stall(), files(src__add=GOOD))
        await swarm.enqueue(task())
        async with agent(swarm), asyncio.timeout(20):
            await swarm.model.stalled.wait()
            swarm.clock.ahead += 1000
            await swarm.queue.reap()
            await swarm.model.left.wait()
            verb, _ = await swarm.report()
    assert verb == "submit"
    assert swarm.queue.reports.empty()


async def test_a_stopped_agent_gives_its_claim_back(swarm: World, agent: Any) -> None:
    swarm.model.plays(Stall())
    await swarm.enqueue(task())
    async with agent(swarm) as stop:
        await swarm.model.stalled.wait()
        stop.set()
        assert await swarm.report() == ("release", "draining")
    assert swarm.model.left.is_set()


async def test_the_process_ends_cleanly_on_sigterm_and_logs_no_secret_and_no_prompt(
    tmp_path: Path, sandbox_url: str
) -> None:
    async with world(tmp_path, sandbox_url, profile="express-typescript") as swarm:
        swarm.model.plays(Stall())
        await swarm.enqueue(task(title="A title that is a prompt"))
        (tmp_path / "token").write_text(TOKEN)
        (tmp_path / "run.json").write_text(swarm.config.model_dump_json())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "swarm_agent"),
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'agent_image'}",
                "POD_NAME": "pod-0",
                "SWARM_AGENT_TOKEN_FILE": str(tmp_path / "token"),
                "SWARM_WORK_DIR": str(tmp_path),
                "SWARM_RUN_CONFIG": str(tmp_path / "run.json"),
                "SWARM_LISTEN": "127.0.0.1:0",
            },
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            await swarm.model.stalled.wait()
            process.send_signal(signal.SIGTERM)
            assert await swarm.report() == ("release", "draining")
            _, log = await process.communicate()
    assert process.returncode == 0
    lines = [json.loads(line) for line in log.decode().splitlines()]
    assert [line["msg"] for line in lines] == ["agent works", "claimed", "claim given back", "agent ends"]
    assert lines[1]["task"] == "add"
    assert TOKEN not in log.decode()
    assert "A title" not in log.decode()


async def test_a_bad_setting_ends_the_process_with_its_name() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "swarm_agent"),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'agent_image'}"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, log = await process.communicate()
    assert process.returncode == 2
    assert "pod_name" in log.decode()

"""Small runs on a real cluster: one resource, one endpoint, one agent, a repository each."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from swarmdemo import install, objects, watch
from swarmdemo.settings import GIT_PORT, SYSTEM_NAMESPACE, Settings
from swarmdemo.shell import Tools
from swarmdemo.target import Target

Run = dict[str, Any]

#: Everything that a run may own, for `kubectl get`.
OWNED = "deployments,pods,services,configmaps,secrets,networkpolicies,swarmescalations"


def small_project() -> dict[str, Any]:
    """Describe the smallest service that is still one: five tasks."""
    return {
        "project_name": "Notes",
        "description": "Keeps notes",
        "architecture": {
            "style": "REST API",
            "database": "PostgreSQL",
            "authentication": "none",
            "framework": "Express.js (Node.js)",
        },
        "resources": {
            "notes": {
                "endpoints": ["POST /api/notes (create)"],
                "fields": [{"id": "UUID (primary key)"}, {"title": "string (required, max 120)"}],
            }
        },
    }


@dataclass(frozen=True)
class Runs:
    """The SwarmRuns of one namespace, with a simulated model and a git server beside them."""

    tools: Tools
    settings: Settings

    @classmethod
    @contextmanager
    def beside_servers(cls, where: Target, settings: Settings) -> Iterator[Runs]:
        """Begin with an empty namespace and its servers; end by telling all runs to go."""
        install.remove_previous(where, settings)
        install.install_servers(where, settings)
        runs = cls(where.tools, settings)
        try:
            yield runs
        finally:
            runs.kubectl("delete", "swarmruns", "--all", "--wait=false")

    def kubectl(self, *argv: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl in the namespace."""
        return self.tools.kubectl("-n", self.settings.namespace, *argv, stdin=stdin, check=check)

    def repository(self, *names: str, commit: bool = False) -> None:
        """Make bare repositories on the git server; with a commit on `main`, if asked."""
        for name in names:
            path = f"/data/git/{name}.git"
            script = f"git init -q --bare -b main {path} && git -C {path} config http.receivepack true"
            if commit:
                author = "-c user.name=t -c user.email=t@example.com"
                script += (
                    f" && tree=$(git -C {path} mktree </dev/null)"
                    f" && first=$(git -C {path} {author} commit-tree -m first $tree)"
                    f" && git -C {path} update-ref refs/heads/main $first"
                )
            self.kubectl("exec", "deploy/git", "--", "sh", "-ec", script)

    def manifest(self, name: str, project: Mapping[str, Any] | None = None, **spec: Any) -> Run:
        """Describe a run of one agent in its own repository; `spec` replaces fields, None removes."""
        run = objects.swarm_run(self.settings, 1)
        run["metadata"]["name"] = name
        run["spec"]["project"] = None if "projectFrom" in spec else dict(project or small_project())
        run["spec"]["repository"]["url"] = self.url(name)
        run["spec"].update(spec)
        run["spec"] = {key: value for key, value in run["spec"].items() if value is not None}
        return run

    def url(self, repository: str) -> str:
        """Name a repository of the git server."""
        return f"http://git.{self.settings.namespace}.svc:{GIT_PORT}/{repository}.git"

    def patch(self, name: str, spec: Mapping[str, Any]) -> None:
        """Change fields of a run's spec."""
        self.kubectl("patch", "swarmrun", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def read(self, name: str) -> Run:
        """Read a run."""
        run: Run = json.loads(self.kubectl("get", "swarmrun", name, "-o", "json"))
        return run

    def until(self, name: str, holds: Callable[[Run], bool], *, seconds: float = 60) -> Run:
        """Watch a run until something holds of it.

        Raises:
            AssertionError: it did not in time; the message shows the run's conditions.
        """
        # By selector, not by name: `get NAME --watch` drops a change between its read and its watch.
        command = ["kubectl", "-n", self.settings.namespace, "get", "swarmruns", "--watch"]
        command += [f"--field-selector=metadata.name={name}"]
        process = subprocess.Popen(
            [*command, "-o", r'jsonpath={@}{"\n"}'],
            stdout=subprocess.PIPE,
            text=True,
            env=self.tools.environment,
        )
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        last: Run = {}
        try:
            assert process.stdout is not None
            for line in process.stdout:
                last = json.loads(line)
                if holds(last):
                    return last
        finally:
            timer.cancel()
            process.kill()
            process.wait(timeout=10)
        raise AssertionError(f"run {name} did not get there within {seconds:.0f} s: {said(last)}")

    def delete(self, name: str) -> None:
        """Delete a run, and wait until it and all it owns are gone."""
        self.kubectl("delete", "swarmrun", name, "--timeout=60s")
        self.kubectl(
            "wait", "--for=delete", OWNED, "-l", f"swarmrun.dev/run={name}", "--timeout=60s", check=False
        )

    def dismiss(self, name: str) -> None:
        """Tell a run to go, so that others have the node to themselves."""
        self.kubectl("delete", "swarmrun", name, "--wait=false")

    def owned(self, name: str) -> list[str]:
        """Name the objects that belong to a run."""
        return self.kubectl("get", OWNED, "-l", f"swarmrun.dev/run={name}", "-o", "name").split()

    def events(self, name: str) -> list[str]:
        """List the reasons of a run's events."""
        wanted = f"--field-selector=involvedObject.name={name}"
        return self.kubectl(
            "get", "events", wanted, "-o", r'jsonpath={range .items[*]}{.reason}{"\n"}{end}'
        ).split()

    def model_calls(self) -> list[Mapping[str, Any]]:
        """Read what the simulated model was asked."""
        path = f"/api/v1/namespaces/{self.settings.namespace}/services/model:http/proxy/journal"
        entries: list[Mapping[str, Any]] = json.loads(self.tools.kubectl("get", "--raw", path))["entries"]
        return entries

    def stored(self) -> str:
        """List every key and login of the queues' store."""
        script = 'export REDISCLI_AUTH="$REDIS_PASSWORD"; redis-cli --scan; redis-cli acl list'
        return self.tools.kubectl(
            "-n", SYSTEM_NAMESPACE, "exec", "swarmrun-redis-0", "--", "sh", "-c", script
        )


def said(run: Run) -> str:
    """Render a run's phase and conditions."""
    status = run.get("status", {})
    lines = [
        f"  {c['type']}={c['status']} {c['reason']} {c.get('message', '')}"
        for c in status.get("conditions", [])
    ]
    return "\n".join([f"phase {status.get('phase')}, {status.get('progress')} tasks", *lines])


def is_(kind: str, state: str, reason: str = "") -> Callable[[Run], bool]:
    """Ask whether a condition of the present spec has a state, and a reason if one is given."""

    def holds(run: Run) -> bool:
        found = watch.condition(run, kind)
        current = found.get("observedGeneration") == run["metadata"]["generation"]
        return current and found.get("status") == state and (not reason or found["reason"] == reason)

    return holds


def completed(run: Run) -> int:
    """Count the tasks on the branch."""
    return int(run.get("status", {}).get("tasks", {}).get("completed", 0))


def messages(run: Run, kinds: Sequence[str]) -> str:
    """Join the messages of some conditions."""
    return "\n".join(str(watch.condition(run, kind).get("message", "")) for kind in kinds)

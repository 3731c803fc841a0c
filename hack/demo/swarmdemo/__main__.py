"""python -m swarmdemo: builds the example project with a swarm, from nothing to a tested repository."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from swarmcluster.errors import ClusterError, PreflightError, UsageError
from swarmcluster.progress import say
from swarmdemo import install, objects, target, verify, watch
from swarmdemo.settings import ROOT, SYSTEM_NAMESPACE, Settings, bearable_agents
from swarmdemo.shell import CannotStartError, DemoError

Result = TypeVar("Result")


class Stopwatch:
    """Remembers how long each part took."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, float]] = []

    def time(self, title: str, work: Callable[[], Result]) -> Result:
        """Do the work and note its seconds."""
        say(f"\n▶ {title}")
        started = time.monotonic()
        try:
            return work()
        finally:
            self.parts.append((title, time.monotonic() - started))

    def report(self) -> str:
        """Render all parts and their sum."""
        rows = [f"  {seconds:7.1f} s  {title}" for title, seconds in self.parts]
        return "\n".join([*rows, f"  {sum(s for _, s in self.parts):7.1f} s  in all"])


def parse(argv: list[str] | None = None) -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--example", default="task-management-api")
    parser.add_argument(
        "--agents", type=int, default=None, help="agents to run; default: what this machine bears"
    )
    parser.add_argument(
        "--faults", default="", help="seeded faults of the simulated model, such as wrong-code=0.1"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--latency-ms", type=int, default=200)
    parser.add_argument("--namespace", default="swarmrun-demo")
    parser.add_argument("--timeout-seconds", type=int, default=1200)
    parser.add_argument(
        "--no-verify", dest="verify", action="store_false", help="do not test the result outside"
    )
    return Settings(**vars(parser.parse_args(argv)))


def apply_run(where: target.Target, settings: Settings) -> str:
    """Apply the SwarmRun and return its name."""
    wanted = int(objects.example_run(settings)["spec"]["numAgents"])
    agents = settings.agents or bearable_agents(wanted, where.cpus)
    if agents != wanted:
        bearer = "this machine" if where.own else "the cluster"
        say(f"the file asks for {wanted} agents; {bearer} bears {agents}, so the demo runs {agents}")
    manifest = objects.swarm_run(settings, agents)
    where.tools.apply(manifest)
    return str(manifest["metadata"]["name"])


def show_end(where: target.Target, settings: Settings, name: str) -> None:
    """Print what a user would look at: the resource and the report."""
    say("\n$ kubectl get swr")
    say(where.tools.kubectl("-n", settings.namespace, "get", "swr"))
    report = where.tools.kubectl(
        "-n", settings.namespace, "get", "configmap", f"{name}-report", "-o", r"jsonpath={.data.report\.md}"
    )
    say(report)


def removal() -> str:
    """Return the command that removes what the demo has made."""
    given = os.environ.get("KUBECONFIG")
    return f"KUBECONFIG={given} make demo-remove" if given else "make clean-cluster"


def demo(settings: Settings) -> int:
    """Run the whole demo; return the exit code."""
    stopwatch = Stopwatch()
    where = stopwatch.time("cluster and images", lambda: target.prepare(settings))
    stopwatch.time("operator", lambda: install.install_operator(where))

    def servers() -> None:
        install.remove_previous(where, settings)
        install.install_servers(where, settings)

    stopwatch.time("simulated model and git server", servers)
    name = apply_run(where, settings)
    run = stopwatch.time(
        f"the swarm builds {settings.example}", lambda: watch.follow(where.tools, settings, name)
    )
    show_end(where, settings, name)
    project = verify.clone(where.tools, settings)
    if settings.verify:
        stopwatch.time("the built project outside the cluster", lambda: verify.run_its_tests(project))
    say(f"\nTime:\n{stopwatch.report()}")
    say(f"\nThe built repository: {project}")
    say(f"Look around:  export KUBECONFIG={where.tools.environment['KUBECONFIG']}")
    say(f"              kubectl -n {settings.namespace} get swr")
    say(f"Remove it all:  {removal()}")
    return 0 if watch.condition(run, "Succeeded").get("status") == "True" else 1


def main() -> int:
    """Run the demo and turn expected failures into one message."""
    settings = parse()
    if not settings.manifest.is_file():
        examples = ", ".join(sorted(p.parent.name for p in (ROOT / "examples").glob("*/swarmrun.yaml")))
        say(f"--example {settings.example}: must be one of {examples}")
        return 2
    try:
        return demo(settings)
    except (CannotStartError, UsageError, PreflightError) as error:  # nothing was begun: nothing to look at
        say(f"\n✗ {error}")
        return 1
    except (DemoError, ClusterError, subprocess.SubprocessError) as error:
        say(f"\n✗ {error}")
        say(f"  look: kubectl -n {settings.namespace} get swr,pods")
        say(f"        kubectl -n {SYSTEM_NAMESPACE} logs deploy/swarmrun-operator")
        return 1
    except KeyboardInterrupt:
        say(f"\nstopped; `{removal()}` removes what the demo started")
        return 130


if __name__ == "__main__":
    sys.exit(main())

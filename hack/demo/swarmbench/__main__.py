"""python -m swarmbench: measures an operator on a real cluster and prints one table.

Latency: a tiny SwarmRun and a Deployment made by hand are created in turn, in a namespace whose quota admits
no pods; measured is the time until a watching client sees the child, or the Deployment. Memory and efficiency
come from one whole run against the simulated model. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from kubernetes.client.exceptions import ApiException

from swarmbench import objects, wholerun
from swarmbench.access import Access
from swarmbench.figures import Row, latency_rows, memory_rows, percentile, table
from swarmbench.latency import Latencies, Pairs
from swarmbench.wholerun import WholeRun
from swarmcluster.errors import ClusterError
from swarmcluster.progress import say, step
from swarmdemo import install, target
from swarmdemo import objects as demo
from swarmdemo.settings import CLUSTER_NAME, ROOT, Settings, bearable_agents
from swarmdemo.shell import DemoError

AIM_FIRST_CHILD_MS: Final = 150.0
AIM_FIRST_CLAIM_SECONDS: Final = 10.0
#: Highest resident memory in MiB, by container name. Sandbox and gates run the project's own tools.
AIM_MEMORY: Final[dict[str, float | None]] = {
    "operator": 120.0,
    "hub": 80.0,
    "merger": 80.0,
    "worker": 120.0,
    "sandbox": None,
    "gates": None,
    "redis": None,
}


@dataclass(frozen=True)
class Options:
    """The command line."""

    example: str
    pairs: int
    agents: int | None
    cluster: str
    json: Path | None


def parse(argv: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-run", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--example", default="notes-api", help="the whole run's example")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of the latency measurement")
    parser.add_argument("--agents", type=int, default=None, help="default: what this machine bears")
    parser.add_argument("--cluster", default=CLUSTER_NAME, help="the node to use when KUBECONFIG is not set")
    parser.add_argument("--json", type=Path, default=None, help="write raw numbers to this file")
    options = Options(**vars(parser.parse_args(argv)))
    if options.pairs < 1:
        parser.error(f"--pairs {options.pairs}: must be at least 1")
    return options


def measure_latency(access: Access, where: target.Target, settings: Settings, pairs: int) -> Latencies:
    """Measure in a namespace of its own, and remove it."""
    own = replace(settings, namespace=f"{settings.namespace}-latency")
    install.remove_previous(where, own)
    where.tools.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": own.namespace}})
    where.tools.apply(objects.no_pods(own.namespace))
    try:
        with step(f"latency, {pairs} pairs"):
            return Pairs(access, settings, own.namespace, where.images.demo).measure(pairs)
    finally:
        install.remove_previous(where, own)


def measure_run(access: Access, where: target.Target, settings: Settings, agents: int) -> WholeRun:
    """Measure one whole run in a fresh namespace, and remove it."""
    install.remove_previous(where, settings)
    install.install_servers(where, settings)
    say(f"one run of {settings.example} with {agents} agents")
    found = wholerun.measure(access, where.tools, settings, agents)
    install.remove_previous(where, settings)
    return found


def rows(latencies: Latencies, run: WholeRun) -> list[Row]:
    """Put all figures beside their aims and anchors."""
    share = run.efficiency
    return [
        *latency_rows("apply → first child seen", latencies.first, latencies.anchor, AIM_FIRST_CHILD_MS),
        Row("apply → all children seen, p50", 1000 * percentile(latencies.every, 0.5), "ms"),
        Row("apply → first agent Running", run.first_agent, "s", None, percentile(run.anchor_agent, 0.5)),
        Row("apply → first claim", run.first_claim, "s", AIM_FIRST_CLAIM_SECONDS),
        *memory_rows(run.memory, AIM_MEMORY),
        Row("first claim → last landed", share.makespan, "s"),
        Row("scheduling efficiency", 100 * share.share, "%"),
        Row("the same, gates and landing as work", 100 * share.share_landed, "%"),
    ]


def raw(latencies: Latencies, run: WholeRun, agents: int) -> dict[str, Any]:
    """Everything that was measured, for other programs."""
    return {
        "loadAverage": os.getloadavg(),
        "cpus": os.cpu_count(),
        "agents": agents,
        "rows": [{**asdict(r), "ratio": r.ratio, "met": r.met} for r in rows(latencies, run)],
        "latencySeconds": asdict(latencies),
        "run": asdict(run),
    }


def bench(options: Options) -> None:
    """Prepare, measure, print."""
    settings = Settings(
        example=options.example, namespace="swarmrun-bench", agents=options.agents, cluster=options.cluster
    )
    if not settings.manifest.is_file():
        examples = ", ".join(sorted(p.parent.name for p in (ROOT / "examples").glob("*/swarmrun.yaml")))
        raise DemoError(f"--example {options.example}: must be one of {examples}")
    where = target.prepare(settings)
    install.install_operator(where)
    access = Access(Path(where.tools.environment["KUBECONFIG"]))
    agents = options.agents or bearable_agents(int(demo.example_run(settings)["spec"]["numAgents"]))
    latencies = measure_latency(access, where, settings, options.pairs)
    say(f"apply → first child seen, p50: {1000 * percentile(latencies.first, 0.5):.0f} ms")
    run = measure_run(access, where, settings, agents)
    print(table(rows(latencies, run)))
    load = os.getloadavg()[0]
    print(
        f"\n{options.pairs} pairs; one run of {options.example} with {agents} agents; load average {load:.1f}"
    )
    if options.json:
        options.json.write_text(json.dumps(raw(latencies, run, agents), indent=1) + "\n")


def main() -> int:
    """Measure, and turn expected failures into one message."""
    options = parse()
    try:
        bench(options)
    except (DemoError, ClusterError, ApiException, subprocess.SubprocessError) as error:
        say(f"\n✗ {error}")
        return 1
    except KeyboardInterrupt:
        say("\nstopped; namespaces swarmrun-bench and swarmrun-bench-latency may be left")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

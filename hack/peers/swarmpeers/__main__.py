"""python -m swarmpeers: `stale` shows what libraries do with a stale worker, `bench` how fast they are."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from swarmpeers import bench, catalogue, page, stale
from swarmpeers.environment import python_for


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="swarmpeers", description=(__doc__ or "").strip())
    commands = parser.add_subparsers(dest="command", required=True)
    scenario = commands.add_parser("stale", help="the stale-worker demonstration")
    scenario.add_argument("--parallel", type=int, default=3, help="libraries at a time")
    speed = commands.add_parser("bench", help="no-op jobs through one worker process")
    speed.add_argument("--jobs", type=int, default=5000, help="jobs for each library")
    speed.add_argument("--rounds", type=int, default=1, help="the best of so many counts")
    for command, names in (
        (scenario, [peer.name for peer in (catalogue.OURS, *catalogue.STALE)]),
        (speed, list(bench.NAMES)),
    ):
        command.add_argument("--peer", action="append", choices=names, help="only this one; may be repeated")
        command.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
        command.add_argument("--write", action="store_true", help="put the table into docs/comparison.md")
    return parser.parse_args()


def _stale(options: argparse.Namespace) -> tuple[list[dict[str, object]], str]:
    peers = [
        peer for peer in (catalogue.OURS, *catalogue.STALE) if not options.peer or peer.name in options.peer
    ]
    for lock in {peer.lock for peer in peers}:
        python_for(lock)
    with ThreadPoolExecutor(options.parallel) as pool:
        # The one that takes longest starts first.
        queued = {
            peer.name: pool.submit(stale.observe, peer) for peer in sorted(peers, key=lambda p: -p.patience)
        }
        outcomes = [queued[peer.name].result() for peer in peers]
    facts = [{**asdict(seen), "verdict": stale.verdict(seen)} for seen in outcomes]
    return facts, page.stale_table(outcomes)


def _bench(options: argparse.Namespace) -> tuple[list[dict[str, object]], str]:
    results = bench.run(options.peer or bench.NAMES, options.jobs, options.rounds)
    return [asdict(one) for one in results], page.bench_table(results)


def main() -> None:
    """Measure, print, and write when asked to."""
    options = _parse()
    facts, table = _stale(options) if options.command == "stale" else _bench(options)
    print(json.dumps(facts, indent=1) if options.json else table)
    if options.write:
        page.write("stale-workers" if options.command == "stale" else "bench-peers", table)


if __name__ == "__main__":
    main()

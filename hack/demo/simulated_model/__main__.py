"""`python -m simulated_model`: serve the stand-in model."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from aiohttp import web

from simulated_model.faults import Faults, parse_rates
from simulated_model.server import Server, Settings

_KEY_VARIABLE = "SIMULATED_MODEL_API_KEY"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulated_model", description=__doc__)
    add = parser.add_argument
    add("--listen", default="127.0.0.1:9000", help="address and port (default: %(default)s)")
    add("--api-key", default=os.environ.get(_KEY_VARIABLE, ""), help=f"default: the variable {_KEY_VARIABLE}")
    add(
        "--faults",
        default="",
        metavar="NAME=RATE,…",
        help="wrong-code, malformed, truncate, rate-limit, server-error, disconnect, slow; rates from 0 to 1",
    )
    add(
        "--stubborn",
        action="append",
        default=[],
        metavar="GLOB",
        help="tasks that stay wrong until a hint comes",
    )
    add("--seed", type=int, default=0, help="another seed, other faults")
    add("--latency-ms", type=int, default=0, help="time before an answer")
    add("--event-ms", type=int, default=0, help="time between two events of a stream")
    add("--models", default="", metavar="NAME,…", help="models that exist (default: all)")
    return parser


def settings_from(argv: Sequence[str] | None = None) -> tuple[Settings, str, int]:
    """Read the command line: settings, host and port; exits with 2 and a message when it is wrong."""
    parser = _parser()
    args = parser.parse_args(argv)
    host, _, port = args.listen.rpartition(":")
    if not port.isdigit():
        parser.error(f"--listen must be host:port (found {args.listen!r})")
    if not args.api_key:
        parser.error(f"--api-key or {_KEY_VARIABLE} must be set")
    try:
        rates = parse_rates(args.faults)
    except ValueError as error:
        parser.error(str(error))
    settings = Settings(
        api_key=args.api_key,
        faults=Faults(rates, seed=args.seed, stubborn=tuple(args.stubborn)),
        latency_ms=args.latency_ms,
        event_ms=args.event_ms,
        models=tuple(filter(None, args.models.split(","))),
    )
    return settings, host or "127.0.0.1", int(port)


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    settings, host, port = settings_from()
    web.run_app(Server(settings).app(), host=host, port=port, print=None, shutdown_timeout=1.0)


if __name__ == "__main__":
    main()

"""Entry point of the runner: `python -m swarm_sandbox`."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from typing import Final

from swarm_sandbox import supervisor
from swarm_sandbox.runner import Runner
from swarm_sandbox.server import SandboxServer
from swarm_sandbox.settings import Settings, load_settings
from swarm_sandbox.steps import Limits, Supervisors

_LOG: Final = logging.getLogger("swarm_sandbox")
_DRAIN_SECONDS: Final = 18.0
_LAST_SECONDS: Final = 4.0


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "ts": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT: then take no new run, and give the running ones some time."""
    supervisor.harden()
    supervisors = Supervisors(Limits(processes=settings.max_processes), sweep=True)
    runner = Runner(settings, supervisors)
    runner.remove_leftovers()
    server = SandboxServer(runner)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
    _LOG.info("runner serves")
    stop.wait()
    server.shutdown()
    server.socket.close()
    if not server.drain(_DRAIN_SECONDS):
        supervisors.terminate()
        server.drain(_LAST_SECONDS)
    runner.remove_leftovers()
    _LOG.info("runner ends")


def main() -> None:
    """Run the server; a malformed setting ends it with status 2."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        settings = load_settings()
    except ValueError as error:
        _LOG.error("bad setting: %s", error)
        sys.exit(2)
    serve(settings)


if __name__ == "__main__":
    main()

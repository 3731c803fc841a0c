"""Structured logs: one JSON object per line on stderr, constant messages, facts as fields."""

from __future__ import annotations

import logging
import re
import sys
from typing import Final

from pythonjsonlogger.json import JsonFormatter

_SECRET: Final = re.compile(
    r"(sk-[A-Za-z0-9_-]{8,}|Bearer\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|://[^/\s:@]+:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY-----)"
)


def redact(text: str) -> str:
    """Replace what looks like a credential. A safety net: credentials are kept out of messages anyway."""
    return _SECRET.sub("[redacted]", text)


class _Redacting(JsonFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure_logging(level: str = "INFO") -> None:
    """Send all logs of this process to stderr as JSON lines with the keys ts, level, logger, msg."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Redacting(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "ts", "levelname": "level", "name": "logger", "message": "msg"},
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)

"""When this client saw something in a watch for the first time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from kubernetes import watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from swarmdemo.shell import DemoError

#: The server ends a stream after this time; the next one begins with all that is there.
_STREAM_SECONDS: Final = 120
_CONNECT_SECONDS: Final = 10


class Sightings:
    """Watches one kind in one namespace from a thread of its own. Times are `time.monotonic`."""

    def __init__(
        self, listing: Callable[..., Any], namespace: str, mark: Callable[[Any], str | None], **options: str
    ) -> None:
        self._listing, self._namespace, self._mark, self._options = listing, namespace, mark, options
        self._seen: dict[str, float] = {}
        self._change = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                self._stream()
            except (ApiException, HTTPError, OSError):
                self._stopped.wait(0.2)

    def _stream(self) -> None:
        watching: Any = watch.Watch  # the client has no hints here
        stream = watching().stream(
            self._listing,
            self._namespace,
            timeout_seconds=_STREAM_SECONDS,
            _request_timeout=(_CONNECT_SECONDS, _STREAM_SECONDS + _CONNECT_SECONDS),
            **self._options,
        )
        for event in stream:
            at = time.monotonic()
            if self._stopped.is_set():
                return
            if event["type"] == "DELETED" or (name := self._mark(event["object"])) is None:
                continue
            with self._change:
                self._seen.setdefault(name, at)
                self._change.notify_all()

    def wait(self, *names: str, timeout: float = 60) -> list[float]:
        """Wait for all of these and return when each was seen.

        Raises:
            DemoError: one was not seen in time.
        """
        with self._change:
            if not self._change.wait_for(lambda: all(n in self._seen for n in names), timeout):
                missing = ", ".join(n for n in names if n not in self._seen)
                raise DemoError(f"not seen within {timeout:.0f} s in namespace {self._namespace}: {missing}")
            return [self._seen[n] for n in names]

    def first(self, prefix: str, timeout: float = 60) -> float:
        """Wait for one whose name begins so, and return when the first was seen.

        Raises:
            DemoError: none was seen in time.
        """

        def times() -> list[float]:
            return [at for name, at in self._seen.items() if name.startswith(prefix)]

        with self._change:
            if not self._change.wait_for(lambda: bool(times()), timeout):
                raise DemoError(f"not seen within {timeout:.0f} s in namespace {self._namespace}: {prefix}…")
            return min(times())

    def stop(self) -> None:
        """Stop at the next event; the thread never holds up the end of the program."""
        self._stopped.set()


def named(item: Any) -> str | None:
    """Mark an object that is there."""
    return str(item.metadata.name)


def running(pod: Any) -> str | None:
    """Mark a pod whose phase is Running."""
    return str(pod.metadata.name) if pod.status.phase == "Running" else None

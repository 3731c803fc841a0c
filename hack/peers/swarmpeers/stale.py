"""The stale-worker scenario: A is frozen past its lease, B takes over and finishes, A wakes and finishes.

`observe` drives real processes and records what happened; `verdict` judges the record and does nothing else.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from swarmpeers.catalogue import Peer
from swarmpeers.environment import python_for, versions
from swarmpeers.processes import Process, await_it, command, redis_server, worker_env
from swarmpeers.workers.protocol import GATE, JOURNAL, STALE

OTHER: Final = "B"
_BOTH: Final = 2
_START_SECONDS: Final = 60.0
_FINISH_SECONDS: Final = 30.0
_NUDGE_SECONDS: Final = 30.0
_PROBE_SECONDS: Final = 5.0
_PROBE_ROUNDS: Final = 6
_RESULT_PAUSE: Final = 0.5
_EXCERPT: Final = 160
_LOUD: Final = ("WARNING", "ERROR", "CRITICAL", "Traceback")


@dataclass(frozen=True)
class Outcome:
    """What one run of the scenario showed. Labels are `worker#run`, runs counted from 1 over both workers.

    `redelivered_after` counts seconds from the freeze to B's start; None: never within `waited`. `told` is
    the library's answer to A's completion, `logged` the first loud line of A's log after it woke.
    """

    peer: str
    versions: str
    lease: str
    waited: float
    redelivered_after: float | None = None
    needed_another_job: bool = False
    starts: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    after_b: str = ""
    at_the_end: str = ""
    a_came_back: bool = False
    told: str = ""
    logged: str = ""


def verdict(seen: Outcome) -> str:
    """Say what became of the stale completion."""
    if seen.redelivered_after is None:
        return f"not reached: not re-delivered within {seen.waited:.0f} s"
    if not seen.after_b.startswith(OTHER):
        return f"not reached: B's result was not kept ({seen.after_b or 'none'})"
    if seen.at_the_end.startswith(OTHER) and len(seen.starts) > _BOTH:
        return f"accepted: reopened the finished job, {seen.at_the_end} replaced B's result"
    if seen.at_the_end != seen.after_b:
        return f"accepted: {seen.at_the_end} replaced B's result"
    if seen.told:
        return f"refused: A was told {seen.told}"
    return "B's result stays; A was not told"


@dataclass
class _Stage:
    """One peer's Redis, folder and processes."""

    peer: Peer
    python: str
    redis_url: str
    folder: Path
    running: list[Process] = field(default_factory=list)

    def start(self, role: str, worker: str = "") -> Process:
        env = worker_env(self.redis_url, self.folder, worker=worker, variant=self.peer.variant)
        log = self.folder / f"{worker or role}.log"
        self.running.append(Process(self.peer.argv(self.python, role), env, log))
        return self.running[-1]

    def do(self, role: str) -> str:
        env = worker_env(self.redis_url, self.folder, variant=self.peer.variant)
        return command(self.peer.argv(self.python, role), env)

    def facts(self, what: str, worker: str = "") -> list[dict[str, Any]]:
        path = self.folder / JOURNAL
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        facts = [json.loads(line) for line in lines]
        return [one for one in facts if one["what"] == what and worker in ("", one["worker"])]

    def await_fact(self, what: str, worker: str, seconds: float) -> bool:
        return await_it(lambda: self.facts(what, worker) or None, seconds) is not None

    def result(self) -> str:
        got = json.loads(self.do("result"))
        return "" if got["value"] is None else str(got["value"]).strip().splitlines()[-1][:_EXCERPT]


def observe(peer: Peer) -> Outcome:
    """Run the scenario once, with a Redis of its own, and record what happened."""
    python = python_for(peer.lock)
    with tempfile.TemporaryDirectory(prefix="swarmpeers-") as name, redis_server(Path(name)) as redis_url:
        stage = _Stage(peer, str(python), redis_url, Path(name))
        try:
            return _play(stage, versions(python, peer.distributions))
        finally:
            for process in stage.running:
                process.kill()


def _play(stage: _Stage, installed: str) -> Outcome:
    peer = stage.peer
    worker_a = _frozen(stage)
    frozen_at = time.time()
    if peer.helper:
        stage.start(peer.helper)
    stage.start("work", OTHER)
    nudged = False
    if not (redelivered := stage.await_fact("start", OTHER, peer.patience)):
        nudged = True
        stage.do("probe")
        redelivered = stage.await_fact("start", OTHER, _NUDGE_SECONDS)
    waited = time.time() - frozen_at
    if not redelivered:
        return Outcome(peer.name, installed, peer.lease, waited, starts=_labels(stage, "start"))
    stage.await_fact("end", OTHER, _FINISH_SECONDS)
    after_b = await_it(lambda: stage.result() or None, _FINISH_SECONDS, _RESULT_PAUSE) or ""
    before = worker_a.log.stat().st_size
    (stage.folder / GATE).touch()
    worker_a.resume()
    came_back = _await_return(stage)
    told = [str(one["answer"]) for one in stage.facts("told", STALE)]
    return Outcome(
        peer=peer.name,
        versions=installed,
        lease=peer.lease,
        waited=waited,
        redelivered_after=stage.facts("start", OTHER)[0]["at"] - frozen_at,
        needed_another_job=nudged,
        starts=_labels(stage, "start"),
        cancelled=_labels(stage, "cancelled"),
        after_b=after_b,
        at_the_end=stage.result(),
        a_came_back=came_back,
        told=told[0] if told else "",
        logged=_loud(worker_a.log.read_bytes()[before:].decode(errors="replace")),
    )


def _frozen(stage: _Stage) -> Process:
    """Start A, let it work, give it the job, and freeze it in there."""
    worker = stage.start("work", STALE)
    stage.do("probe")
    ready = stage.await_fact("probe", STALE, _START_SECONDS)
    stage.do("enqueue")
    if not ready or not stage.await_fact("start", STALE, _START_SECONDS):
        raise SystemExit(f"{stage.peer.name}: A does not work:\n{worker.log.read_text()[-2000:]}")
    worker.freeze()
    return worker


def _await_return(stage: _Stage) -> bool:
    """Wait until A, which runs one job at a time, has run another: then it has dealt with the first."""
    known = len(stage.facts("probe", STALE))
    done = await_it(
        lambda: stage.facts("end", STALE) or stage.facts("cancelled", STALE) or None, _FINISH_SECONDS
    )
    for _ in range(_PROBE_ROUNDS if done else 1):
        stage.do("probe")
        if await_it(lambda: True if len(stage.facts("probe", STALE)) > known else None, _PROBE_SECONDS):
            return True
    return False


def _labels(stage: _Stage, what: str) -> tuple[str, ...]:
    return tuple(str(one["label"]) for one in stage.facts(what))


def _loud(log: str) -> str:
    """Return the first line of a log that warns of something."""
    loud = [line.strip() for line in log.splitlines() if any(word in line for word in _LOUD)]
    return loud[0][:_EXCERPT] if loud else ""

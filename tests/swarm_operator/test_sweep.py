"""The sweep finds what the watch missed, and a probe tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from operator_support import context, observe, queue_of, run_body, snapshot
from swarm_operator import health
from swarm_operator.apply import Applier
from swarm_operator.controller import Controller
from swarm_operator.fairqueue import Key, WorkQueue
from swarm_operator.kube import Kube
from swarm_operator.memory import Memory
from swarm_operator.metrics import Metrics
from swarm_operator.observe import Observer
from swarm_operator.poster import Poster
from swarm_operator.stores import Stores
from swarm_operator.sweep import SWEEP_DEAD, Sweeper

KEY = Key("team", "todo")


class Lists:
    """A cluster that can only be listed."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []

    async def list(self, api: str, kind: str, namespace: str | None, **_: Any) -> Sequence[dict[str, Any]]:
        del api, namespace
        return self.runs if kind == "SwarmRun" else []


def sweeper(cluster: Lists) -> Sweeper:
    kube, memory, queue = cast("Kube", cluster), Memory(), WorkQueue(lambda: 0.0)
    stores = cast("Stores", None)
    controller = Controller(
        memory=memory,
        queue=queue,
        observer=Observer(kube, stores, memory),
        applier=Applier(kube, stores, memory, context().tokens),
        context=context(),
        poster=Poster(kube, lambda: 0.0),
        metrics=Metrics(lambda: len(queue)),
    )
    return Sweeper(kube, memory, controller, [None])


def at_version(version: str) -> dict[str, Any]:
    body = run_body()
    body["metadata"]["resourceVersion"] = version
    return body


async def test_a_run_that_vanished_without_an_event_is_forgotten_with_its_series() -> None:
    cluster = Lists()
    found = sweeper(cluster)
    found.memory.put_run(at_version("7"))
    seen = observe(run_body(), queue=queue_of(snapshot(), ("one", "two")))
    found.controller.metrics.show(seen, seen.run.status)
    registry, labels = found.controller.metrics.registry, {"namespace": "team", "run": "todo"}
    assert registry.get_sample_value("swarmrun_queue_invariant_violations", labels) == 2
    await found.sweep()
    assert found.memory.run(KEY) is None
    names = {m.name for m in found.controller.metrics.registry.collect() if m.samples}
    assert not names & {"swarmrun_run_phase", "swarmrun_queue_invariant_violations"}


async def test_a_watch_that_is_behind_twice_in_a_row_is_dead_and_once_is_not() -> None:
    cluster = Lists()
    found = sweeper(cluster)
    found.memory.put_run(at_version("7"))
    cluster.runs = [at_version("9")]
    await found.sweep()
    assert found.problem() == ""
    await found.sweep()
    assert "watch" in found.problem()


async def test_a_watch_that_catches_up_between_two_sweeps_lives() -> None:
    cluster = Lists()
    found = sweeper(cluster)
    found.memory.put_run(at_version("7"))
    cluster.runs = [at_version("9")]
    await found.sweep()
    found.memory.put_run(at_version("9"))
    await found.sweep()
    assert found.problem() == ""


def test_a_sweeper_that_stopped_is_a_problem() -> None:
    found = sweeper(Lists())
    found.tried_at -= SWEEP_DEAD + 1
    assert found.problem() == "the sweeper has stopped"


async def test_probes_answer_what_is_wrong_and_metrics_can_be_parsed() -> None:
    metrics = Metrics(lambda: 3)
    wrong = ["the watch is dead"]
    app = health.application(metrics.registry, alive=lambda: wrong[0], ready=lambda: "")
    async with TestClient(TestServer(app)) as client:
        alive = await client.get("/healthz")
        assert (alive.status, await alive.text()) == (503, "the watch is dead\n")
        wrong[0] = ""
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/readyz")).status == 200
        text = await (await client.get("/metrics")).text()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    assert families["swarmrun_reconcile_queue_depth"].samples[0].value == 3

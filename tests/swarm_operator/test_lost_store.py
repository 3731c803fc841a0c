"""What the store tells after a loss, and how often its auditor is asked."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from operator_support import NOW, actions, context, look, run_body, snapshot, started_run, status_of
from redis_server import RedisServer, lasting_server
from swarm_operator.apply import Applier
from swarm_operator.controller import AUDIT_EVERY, Controller, Mind
from swarm_operator.decision import Enqueue, Open, SetState
from swarm_operator.fairqueue import Key, WorkQueue
from swarm_operator.kube import Kube
from swarm_operator.memory import Memory
from swarm_operator.metrics import Metrics
from swarm_operator.names import FINALIZER
from swarm_operator.observe import Observer
from swarm_operator.observed import QueueView
from swarm_operator.poster import Poster
from swarm_operator.stores import RedisStores, Stores
from swarmrun.queue.keys import Keys
from swarmrun.queue.port import RunState
from swarmrun.queue.redis_store import Store, open_store

__all__ = ["lasting_server"]

pytestmark = pytest.mark.redis

UID = str(uuid.uuid4())
RUN = Keys(UID)["run"]


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[Store]:
    store = open_store(server.url)
    yield store
    await store.aclose()


Loss = Callable[[RedisServer, Store], Awaitable[Any]]


async def _restart(server: RedisServer, store: Store) -> None:
    server.kill()
    server.start()
    await store.run(UID).connection_pool.disconnect()


LOSSES: dict[str, Loss] = {
    "the run id changed": _restart,
    "everything is gone": lambda _, store: store.run(UID).flushall(),
    "the generation is gone": lambda _, store: cast("Awaitable[Any]", store.run(UID).hdel(RUN, "generation")),
    "the epoch is gone": lambda _, store: cast("Awaitable[Any]", store.run(UID).hdel(RUN, "epoch")),
    "an older state is back": lambda _, store: cast("Awaitable[Any]", store.run(UID).hset(RUN, "epoch", 6)),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
async def test_after_a_loss_the_status_has_a_higher_epoch_before_anything_is_opened(
    server: RedisServer, store: Store, loss: Loss
) -> None:
    stores, body = RedisStores(store), started_run(status={"queueEpoch": 7})
    await stores.queue(UID).open(7)
    sound = await stores.observe(UID)
    assert (sound.epoch, sound.error) == (7, "")
    assert status_of(look(body, queue=sound)).queue_epoch == 7
    await loss(server, store)
    seen = await stores.observe(UID)
    assert seen.error == ""
    decision = look(body, queue=seen)
    assert status_of(decision).queue_epoch == 8
    assert not [a for kind in (Open, Enqueue, SetState) for a in actions(decision, kind)]
    then = look(started_run(status={"queueEpoch": 8}), queue=seen, raised=8)
    assert [a.epoch for a in actions(then, Open)] == [8]


async def test_the_auditor_is_asked_only_when_told(store: Store) -> None:
    stores = RedisStores(store)
    await stores.queue(UID).open(1)
    assert (await stores.observe(UID)).audit is None
    assert (await stores.observe(UID, audit=True)).audit == ()
    await cast("Awaitable[Any]", store.run(UID).hset(RUN, "total", 3))
    found = (await stores.observe(UID, audit=True)).audit
    assert found == ("the counter total says 3, and there are 0",)


class Asked:
    """A store whose auditor counts."""

    def __init__(self) -> None:
        self.audits = 0
        self.lost = False
        self.state = RunState.ACTIVE

    async def observe(self, uid: str, *, audit: bool = False) -> QueueView:
        del uid
        if self.lost:
            return QueueView()
        self.audits += audit
        return QueueView(epoch=1, snapshot=snapshot(state=self.state), audit=("wrong",) if audit else None)


async def test_an_audit_is_kept_until_the_next_and_forgotten_with_its_queue() -> None:
    memory, asked, key = Memory(), Asked(), Key("team", "todo")
    memory.put_run(run_body(status={"queueEpoch": 1}, finalizers=(FINALIZER,)))
    observer = Observer(cast("Kube", None), cast("Stores", asked), memory)

    async def violations(known: tuple[str, ...] | None) -> tuple[str, ...] | None:
        seen = await observer.observe(key, raised_epoch=None, refresh=False, known=known)
        assert seen is not None
        return seen.violations

    assert await violations(None) == ("wrong",)
    assert await violations(()) == ()
    assert asked.audits == 1
    asked.lost = True
    assert await violations(()) is None


class Statuses:
    """A cluster that takes statuses, and nothing else."""

    async def apply_status(self, manifest: dict[str, Any]) -> dict[str, Any]:
        body = run_body(spec={"approval": "Plan"}, status=manifest["status"], finalizers=(FINALIZER,))
        body["metadata"]["resourceVersion"] = "8"
        return body

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        return manifest


async def test_visits_ask_the_auditor_once_a_minute_however_many_they_are() -> None:
    kube, memory, asked = cast("Kube", Statuses()), Memory(), Asked()
    memory.put_run(run_body(spec={"approval": "Plan"}, status={"queueEpoch": 1}, finalizers=(FINALIZER,)))
    stores, queue = cast("Stores", asked), WorkQueue(lambda: 0.0)
    controller = Controller(
        memory=memory,
        queue=queue,
        observer=Observer(kube, stores, memory),
        applier=Applier(kube, stores, memory, context().tokens),
        context=context(),
        poster=Poster(kube, lambda: NOW),
        metrics=Metrics(lambda: len(queue)),
    )
    asked.state = RunState.PAUSED
    mind = Mind(refresh_at=float("inf"))
    for _ in range(3):
        await controller.visit(Key("team", "todo"), mind)
    assert asked.audits == 1
    mind.audit_at -= AUDIT_EVERY
    for _ in range(3):
        await controller.visit(Key("team", "todo"), mind)
    assert asked.audits == 2
    labels = {"namespace": "team", "run": "todo"}
    assert controller.metrics.registry.get_sample_value("swarmrun_queue_invariant_violations", labels) == 1

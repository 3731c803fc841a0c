"""Opening, planning, rebuilding and removing a run."""

from __future__ import annotations

import pytest

from contract.swarm import (
    RED,
    change,
    claimed,
    delivered,
    fix_for,
    landed,
    opened,
    state,
    task,
    view,
    waiting,
)
from contract.worlds import World
from swarmrun.core.errors import Invalid
from swarmrun.core.task import Reply, TaskState, TaskType
from swarmrun.queue import rules
from swarmrun.queue.port import Empty, EmptyReason, RunState, Signal, TestTotals
from swarmrun.queue.rules import QueueClosed

TESTS = TaskType.WRITE_TESTS


async def test_planning_twice_adds_nothing(world: World) -> None:
    await opened(world, task("a"))
    add = {"plan_hash": "h2", "max_attempts": 3, "landed": {}}
    assert await world.admin.enqueue([task("a"), task("b", TESTS, "a")], **add) == 1  # type: ignore[arg-type]  # one mapping for both calls
    assert await world.admin.enqueue([task("b", TESTS, "a"), task("a")], **add) == 0  # type: ignore[arg-type]  # same
    snapshot = await world.admin.snapshot()
    assert (snapshot.plan_hash, [one.id for one in snapshot.tasks]) == ("h2", ["a", "b"])


async def test_the_largest_plan_is_added_in_one_piece(world: World) -> None:
    await opened(world, *(task(f"t{number}") for number in range(rules.MAX_TASKS)))
    assert len((await world.admin.snapshot()).tasks) == rules.MAX_TASKS


async def test_order_within_a_batch_does_not_matter(world: World) -> None:
    await opened(world, task("b", TESTS, "a", "a"), task("a"))
    assert [await state(world, one) for one in ("a", "b")] == [TaskState.READY, TaskState.PENDING]


async def test_a_batch_that_breaks_a_rule_adds_nothing(world: World) -> None:
    await opened(world, task("known"))
    for batch, words in [
        ([task("x"), task("y", TESTS, "ghost")], "must name a task of this plan"),
        ([task("x", TESTS, "y"), task("y", TESTS, "x")], "no cycle"),
        ([task("x"), task("x")], "unique"),
        ([fix_for("known")], "rejected submission"),
    ]:
        with pytest.raises(Invalid, match=words):
            await world.admin.enqueue(batch, plan_hash="bad", max_attempts=3, landed={})
    snapshot = await world.admin.snapshot()
    assert (snapshot.plan_hash, [one.id for one in snapshot.tasks]) == ("h1", ["known"])


async def test_a_rebuilt_run_goes_on_behind_what_git_knows(world: World) -> None:
    await world.admin.open(2)
    await world.admin.set_state(RunState.ACTIVE)
    plan = [task("c", TESTS, "b"), task("b", TESTS, "a"), task("a"), task("d", TESTS, "c")]
    landed = {"b": "sha-b", "a": "sha-a", "gone": "sha"}
    assert await world.admin.enqueue(plan, plan_hash="h", max_attempts=3, landed=landed) == 4
    states = [await state(world, one) for one in "abcd"]
    assert states == [TaskState.COMPLETED, TaskState.COMPLETED, TaskState.READY, TaskState.PENDING]
    assert await world.merge.mark_landed({}, epoch=2) is Reply.OK
    assert (await claimed(world)).lease.token.startswith("2-")


async def test_a_rebuilt_run_gives_no_work_until_the_merger_has_told_what_is_on_the_branch(
    world: World,
) -> None:
    await world.admin.open(2)
    # Before there is a plan nothing could be marked, so nothing is asked for.
    assert await world.merge.unreported_epoch() is None
    assert await world.merge.mark_landed({"a": "sha-a"}, epoch=2) is Reply.STALE
    plan = [task("a"), task("b", TESTS, "a"), task("c", TESTS, "b")]
    await world.admin.enqueue(plan, plan_hash="h", max_attempts=3, landed={})
    await world.admin.set_limit(1_000)
    await world.admin.set_state(RunState.ACTIVE)
    assert await world.work.claim("pod-a", ttl_seconds=60) == Empty(reason=EmptyReason.PAUSED)
    assert await world.merge.unreported_epoch() == 2
    commits = {"a": "sha-a", "b": "sha-b", "fix.a": "sha-f", "gone": "sha-g"}
    assert await world.merge.mark_landed(commits, epoch=1) is Reply.STALE
    assert await world.merge.mark_landed(commits, epoch=2) is Reply.OK
    assert await world.merge.mark_landed({"c": "late"}, epoch=2) is Reply.DUP
    assert await world.merge.unreported_epoch() is None
    states = [await state(world, one) for one in "abc"]
    assert states == [TaskState.COMPLETED, TaskState.COMPLETED, TaskState.READY]
    assert (await view(world, "b")).commit == "sha-b"
    assert (await claimed(world)).task.id == "c"


async def test_a_merger_that_says_nothing_holds_nobody_up_for_ever(world: World) -> None:
    await world.admin.open(2)
    await world.admin.enqueue([task("a")], plan_hash="h", max_attempts=3, landed={})
    await world.admin.set_state(RunState.ACTIVE)
    assert await world.work.claim("pod-a", ttl_seconds=60) == Empty(reason=EmptyReason.PAUSED)
    await world.outwait_merger()
    assert (await claimed(world)).task.id == "a"
    # Its word is still welcome.
    assert await world.merge.mark_landed({"a": "sha"}, epoch=2) is Reply.OK
    assert await state(world, "a") is TaskState.COMPLETED


async def test_the_first_epoch_waits_for_nobody(world: World) -> None:
    await world.admin.open(1)
    await world.admin.enqueue([task("a")], plan_hash="h", max_attempts=3, landed={})
    assert await world.merge.unreported_epoch() is None
    assert await world.merge.mark_landed({"a": "sha"}, epoch=1) is Reply.DUP
    assert await state(world, "a") is TaskState.READY


async def test_what_landed_is_completed_whatever_the_store_believes(world: World) -> None:
    await opened(world, task("a"), task("b"), task("c", TESTS, "a"), attempts=1)
    await opened(world, attempts=3)
    await delivered(world)
    await world.merge.reject(await waiting(world), RED, fix_for("a"))
    lease = (await claimed(world)).lease
    await world.admin.enqueue([], plan_hash="h", max_attempts=3, landed={"a": "sha", "b": "sha"})
    states = [await state(world, one) for one in ("a", "fix.a", "b", "c")]
    expected = [TaskState.COMPLETED, TaskState.SKIPPED, TaskState.COMPLETED, TaskState.READY]
    assert states == expected
    assert await world.work.submit(lease, change()) is Reply.STALE


async def test_what_the_branch_tells_of_ended_work_changes_nothing(world: World) -> None:
    await opened(world, task("a"), task("b"))
    await delivered(world)
    await landed(world)
    assert await world.admin.resolve("b", "skip") is Reply.OK
    before = await view(world, "a"), await view(world, "b")
    await world.admin.enqueue([], plan_hash="h", max_attempts=3, landed={"a": "other", "b": "other"})
    assert (await view(world, "a"), await view(world, "b")) == before


async def test_the_epoch_only_rises(world: World) -> None:
    await world.admin.open(3)
    await world.admin.open(2)
    generation = await world.admin.generation()
    assert generation is not None
    assert generation[1] == 3
    assert (await world.admin.snapshot()).epoch == 3


async def test_a_higher_epoch_fences_new_claims_and_spares_live_ones(world: World) -> None:
    await opened(world, task("a"), task("b"))
    live = (await claimed(world, "pod-a")).lease
    await world.admin.open(7)
    assert await world.work.heartbeat(live) is Reply.OK
    assert await world.merge.mark_landed({}, epoch=7) is Reply.OK
    assert (await claimed(world, "pod-b")).lease.token == "7-2"


async def test_a_purged_run_is_gone_and_stays_gone(world: World) -> None:
    await opened(world, task("a"), task("b"))
    lease = (await claimed(world)).lease
    await world.work.reserve("c1", lease, worst_micro_usd=1, model="m", ttl_seconds=60)
    await world.work.submit(lease, change())
    assert await world.admin.purge() > 0
    assert await world.leaked() == []
    assert await world.admin.generation() is None
    # Processes that have not noticed yet leave nothing behind.
    assert await world.work.heartbeat(lease) is Reply.STALE
    assert await world.work.settle("c1", None) is Reply.STALE
    assert await world.work.claim("pod-a", ttl_seconds=60) == Empty(reason=EmptyReason.PAUSED)
    with pytest.raises(QueueClosed):
        await world.work.register("pod-a")
    await world.work.signal("provider", Signal(ok=True, reason="Ok"))
    await world.merge.signal("gates", Signal(ok=True, reason="Ok"))
    await world.merge.record_tests(TestTotals(total=1))
    await world.merge.put_document("code", {})
    assert await world.leaked() == []
    snapshot = await world.admin.snapshot()
    assert (snapshot.epoch, snapshot.tasks, snapshot.state) == (0, (), RunState.PAUSED)


async def test_signals_reach_the_snapshot(world: World) -> None:
    await opened(world, task("a"))
    signal = Signal(ok=False, reason="Unreachable", message="no route")
    await world.merge.signal("repository", signal)
    assert (await world.admin.snapshot()).signals == {"repository": signal}


async def test_a_task_shows_its_facts(world: World) -> None:
    await opened(world, task("a"))
    await claimed(world)
    one = await view(world, "a")
    assert (one.agent, one.attempt, one.title, one.state) == ("agent-0", 1, "Do a", TaskState.LEASED)
    assert one.claimed_at > 0
    assert one.submitted_at == one.finished_at == 0


async def test_a_later_task_does_not_wait_for_what_has_landed_before(world: World) -> None:
    await opened(world, task("a"))
    await delivered(world)
    await landed(world)
    await opened(world, task("b", TESTS, "a"))
    assert await state(world, "b") is TaskState.READY

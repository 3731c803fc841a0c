"""Landing, red gates and the repairs that follow them."""

from __future__ import annotations

import asyncio

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
from swarmrun.core.task import Failure, FailureKind, Reply, TaskState, TaskType
from swarmrun.queue.port import Empty, TestTotals


async def red(world: World, task_id: str = "a") -> None:
    """Submit the best task and have it judged red, which opens a repair."""
    await delivered(world)
    assert await world.merge.reject(await waiting(world), RED, fix_for(task_id)) is Reply.OK


async def test_submissions_come_oldest_first_and_stay_until_judged(world: World) -> None:
    await opened(world, task("a"), task("b", priority=1), task("c", priority=2))
    for pod in ("pod-a", "pod-b", "pod-c"):
        await delivered(world, pod)
    for _ in range(2):
        found = await world.merge.submissions(limit=2, timeout_seconds=0)
        assert [one.task.id for one in found] == ["c", "b"] or [one.task.id for one in found] == ["c", "a"]
    assert len(await world.merge.submissions(limit=9, timeout_seconds=0)) == 3


async def test_change_sets_sent_together_are_judged_in_that_order(world: World) -> None:
    names = ["e", "d", "c", "b", "a"]
    await opened(world, *(task(name, priority=number) for number, name in enumerate(reversed(names))))
    leases = [(await claimed(world, f"pod-{number}")).lease for number in range(5)]
    sent = sorted(leases, key=lambda lease: names.index(lease.task_id))
    await asyncio.gather(*(world.work.submit(lease, change()) for lease in sent))
    found = await world.merge.submissions(limit=5, timeout_seconds=0)
    assert [one.task.id for one in found] == names


async def test_a_landed_task_is_completed_once(world: World) -> None:
    await opened(world, task("a"))
    await delivered(world)
    submission = await waiting(world)
    with pytest.raises(Invalid, match="must name its commit"):
        await world.merge.land(submission, {})
    replies = [await world.merge.land(submission, {"a": "sha"}) for _ in range(2)]
    assert replies == [Reply.OK, Reply.DUP]
    done = await view(world, "a")
    assert (done.state, done.commit, done.agent) == (TaskState.COMPLETED, "sha", "agent-0")
    assert done.finished_at >= done.submitted_at >= done.claimed_at > 0
    assert await world.merge.reject(submission, RED, None) is Reply.STALE
    assert await world.merge.send_back(submission, "x") is Reply.STALE


async def test_the_first_red_opens_a_repair_that_carries_the_change_set(world: World) -> None:
    await opened(world, task("a"))
    await delivered(world, text="red")
    submission = await waiting(world)
    replies = [await world.merge.reject(submission, RED, fix_for("a")) for _ in range(2)]
    assert replies == [Reply.OK, Reply.DUP]
    assert await state(world, "a") is TaskState.FIXING
    assert list(await world.merge.submissions(limit=9, timeout_seconds=0)) == []
    repair = await claimed(world)
    assert (repair.task.id, repair.task.fix_of, repair.lease.attempt) == ("fix.a", "a", 2)
    assert repair.stack == (change("red"),)
    assert repair.failures == (RED,)


async def test_a_green_repair_lands_together_with_its_target(world: World) -> None:
    await opened(world, task("a"), task("b", TaskType.WRITE_TESTS, "a"))
    await red(world)
    await delivered(world, "pod-b", text="fixed")
    submission = await waiting(world)
    assert (submission.task.id, submission.change_set) == ("fix.a", change("fixed"))
    assert [(one.task.id, one.change_set) for one in submission.stack] == [("a", change())]
    with pytest.raises(Invalid, match="commits"):
        await world.merge.land(submission, {"fix.a": "sha"})
    await landed(world)
    assert [await state(world, one) for one in ("a", "fix.a", "b")] == [
        TaskState.COMPLETED,
        TaskState.COMPLETED,
        TaskState.READY,
    ]
    assert (await view(world, "a")).commit == "sha-a"


async def test_a_red_repair_counts_for_its_target_and_starts_again(world: World) -> None:
    await opened(world, task("a"), attempts=3)
    await red(world)
    await delivered(world)
    again = Failure(kind=FailureKind.GATE, message="still red", step="test")
    assert await world.merge.reject(await waiting(world), again, None) is Reply.OK
    assert await state(world, "a") is TaskState.FIXING
    assert [one.message for one in (await view(world, "a")).failures] == [RED.message, "still red"]
    repair = await claimed(world)
    assert (repair.task.id, repair.lease.attempt) == ("fix.a", 3)
    assert repair.stack == (change(),)
    assert [one.message for one in repair.failures] == [RED.message, "still red"]


@pytest.mark.parametrize("by_agent", [True, False])
async def test_a_repair_without_success_blocks_its_target(world: World, *, by_agent: bool) -> None:
    await opened(world, task("a"), attempts=2)
    await red(world)
    if by_agent:
        await world.work.fail((await claimed(world)).lease, RED)
    else:
        await delivered(world)
        await world.merge.reject(await waiting(world), RED, None)
    assert await state(world, "a") is TaskState.BLOCKED
    assert await state(world, "fix.a") is TaskState.SKIPPED
    assert isinstance(await world.work.claim("pod-a", ttl_seconds=60), Empty)


async def test_after_a_retry_the_same_repair_may_live_again(world: World) -> None:
    await opened(world, task("a"), attempts=2)
    await red(world)
    await world.work.fail((await claimed(world)).lease, RED)
    assert await world.admin.resolve("fix.a", "retry") is Reply.STALE
    assert await world.admin.resolve("a", "retry", "try harder") is Reply.OK
    await red(world)
    repair = await claimed(world)
    assert (repair.task.id, repair.lease.attempt, repair.hint) == ("fix.a", 2, "try harder")
    assert repair.failures == (RED,)


async def test_a_vanished_repairer_leaves_the_repair_ready(world: World) -> None:
    await opened(world, task("a"), attempts=2)
    await red(world)
    await claimed(world)
    await world.expire_lease("fix.a")
    assert await world.admin.reap() == 1
    assert await state(world, "a") is TaskState.FIXING
    assert (await claimed(world, "pod-b")).stack == (change(),)


async def test_a_skipped_target_takes_its_repair_along(world: World) -> None:
    await opened(world, task("a"))
    await red(world)
    lease = (await claimed(world)).lease
    assert await world.admin.resolve("a", "skip") is Reply.OK
    assert await state(world, "fix.a") is TaskState.SKIPPED
    assert await world.work.submit(lease, change()) is Reply.STALE


async def test_a_person_answers_for_the_target_and_not_for_its_repair(world: World) -> None:
    await opened(world, task("a"))
    await red(world)
    replies = [await world.admin.resolve("fix.a", action) for action in ("retry", "skip")]
    assert replies == [Reply.STALE] * 2
    assert [await state(world, one) for one in ("a", "fix.a")] == [TaskState.FIXING, TaskState.READY]


async def test_an_answer_about_landed_work_comes_too_late(world: World) -> None:
    await opened(world, task("a"))
    await delivered(world)
    await landed(world)
    replies = [await world.admin.resolve("a", action) for action in ("retry", "skip")]
    assert replies == [Reply.STALE] * 2


async def test_without_a_repair_the_task_goes_back_with_the_evidence(world: World) -> None:
    await opened(world, task("a"), attempts=2)
    await delivered(world)
    conflict = Failure(kind=FailureKind.CONFLICT, message="does not apply")
    assert await world.merge.reject(await waiting(world), conflict, None) is Reply.OK
    assert (await claimed(world)).failures == (conflict,)


async def test_a_returned_submission_spends_no_attempt(world: World) -> None:
    await opened(world, task("a"), attempts=1)
    await delivered(world)
    assert await world.merge.send_back(await waiting(world), "gates unreachable") is Reply.OK
    assert (await claimed(world)).lease.attempt == 1


async def test_a_repair_must_belong_to_the_rejected_task(world: World) -> None:
    await opened(world, task("a"), task("b"))
    await delivered(world)
    submission = await waiting(world)
    with pytest.raises(Invalid, match="must be a fix_bug task of a"):
        await world.merge.reject(submission, RED, fix_for("b"))
    with pytest.raises(Invalid, match="free or a closed repair"):
        await world.merge.reject(submission, RED, fix_for("a").model_copy(update={"id": "b"}))
    assert await state(world, "a") is TaskState.SUBMITTED


async def test_figures_and_documents_reach_the_snapshot(world: World) -> None:
    await opened(world, task("a"))
    totals = TestTotals(passing=3, total=4, coverage_percent=81.5, commit="sha")
    await world.merge.record_tests(totals)
    await world.merge.put_document("code", {"lines": 12, "names": ["ü"]})
    snapshot = await world.admin.snapshot()
    assert (snapshot.tests, snapshot.documents) == (totals, {"code": {"lines": 12, "names": ["ü"]}})
    with pytest.raises(Invalid, match="65536 bytes"):
        await world.merge.put_document("code", {"long": "x" * 70_000})


async def test_activity_tells_the_last_twenty_things_newest_first(world: World) -> None:
    await opened(world, task("a"), attempts=50)
    await red(world)
    verbs = [(line.verb, line.task_id) for line in (await world.admin.snapshot()).activity]
    assert verbs == [("fixing", "a"), ("submitted", "a"), ("claimed", "a")]
    for _ in range(12):
        await world.work.release((await claimed(world)).lease, "x")
    activity = (await world.admin.snapshot()).activity
    assert len(activity) == 20
    assert (activity[0].verb, activity[0].agent, activity[0].title) == ("returned", "agent-0", "Fix a")


async def test_an_outdated_submission_decides_nothing_about_a_newer_one(world: World) -> None:
    await opened(world, task("a"))
    await delivered(world, text="older")
    older = await waiting(world)
    await world.merge.send_back(older, "base vanished")
    await delivered(world, text="old")
    old = await waiting(world)
    await world.merge.send_back(old, "base vanished")
    await delivered(world, text="new")
    replies = [
        await world.merge.land(old, {"a": "sha"}),
        await world.merge.reject(old, RED, fix_for("a")),
        await world.merge.send_back(older, "base vanished"),
    ]
    assert replies == [Reply.STALE] * 3
    assert (await waiting(world)).change_set == change("new")

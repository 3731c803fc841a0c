"""Claims: who gets what, for how long, and what a token is good for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from contract.swarm import TTL, change, claimed, delivered, landed, opened, state, task, view, waiting
from contract.worlds import World
from swarmrun.core.errors import Invalid
from swarmrun.core.task import Failure, FailureKind, Reply, Specialization, TaskState, TaskType
from swarmrun.queue import rules
from swarmrun.queue.port import Claimed, Empty, EmptyReason, ReserveOutcome, RunState, Signal
from swarmrun.queue.rules import QueueFull

DATABASE, TESTS, DOCS = TaskType.IMPLEMENT_DATABASE, TaskType.WRITE_TESTS, TaskType.WRITE_DOCS


async def reason(world: World, pod: str = "pod-a") -> EmptyReason:
    answer = await world.work.claim(pod, ttl_seconds=TTL)
    assert isinstance(answer, Empty), answer
    return answer.reason


async def test_a_run_that_nobody_opened_or_started_gives_no_work(world: World) -> None:
    assert await reason(world) is EmptyReason.PAUSED
    assert await world.admin.generation() is None
    await world.admin.open(1)
    await world.admin.enqueue([task("a")], plan_hash="h", max_attempts=3, landed={})
    assert await reason(world) is EmptyReason.PAUSED


async def test_a_task_waits_until_all_its_dependencies_have_landed(world: World) -> None:
    await opened(world, task("a"), task("b"), task("c", TESTS, "a", "b"))
    await delivered(world, "pod-a")
    await delivered(world, "pod-b")
    await landed(world)
    assert await state(world, "c") is TaskState.PENDING
    assert await reason(world) is EmptyReason.NO_WORK
    await landed(world)
    assert await state(world, "c") is TaskState.READY


async def test_a_skipped_task_holds_nobody_back(world: World) -> None:
    await opened(world, task("a"), task("b", TESTS, "a"))
    assert await world.admin.resolve("a", "skip") is Reply.OK
    assert await state(world, "b") is TaskState.READY
    assert await world.admin.resolve("a", "skip") is Reply.DUP


async def test_agents_prefer_their_own_types_and_else_take_the_best_there_is(world: World) -> None:
    await opened(
        world,
        task("docs", DOCS, priority=9),
        task("api-low", priority=1),
        task("api-high", priority=2),
        task("schema", DATABASE, priority=0),
    )
    api, schema = await world.work.register("pod-a"), await world.work.register("pod-b")
    assert (api.specialization, schema.specialization) == (
        Specialization.API_IMPLEMENTATION,
        Specialization.DATABASE_SCHEMA,
    )
    assert (await claimed(world, "pod-b")).task.id == "schema"
    assert (await claimed(world, "pod-a")).task.id == "api-high"
    assert await world.work.release((await claimed(world, "pod-b")).lease, "done looking") is Reply.OK
    # Index 2 tests, and there is nothing to test: the most urgent of all.
    assert (await claimed(world, "pod-c")).task.id in {"docs", "schema"}


async def test_one_agent_alone_finishes_every_type(world: World) -> None:
    kinds = [kind for kind in TaskType if kind is not TaskType.FIX_BUG]
    await opened(world, *(task(f"t{number}", kind) for number, kind in enumerate(kinds)))
    for _ in kinds:
        await delivered(world)
        await landed(world)
    assert await reason(world) is EmptyReason.DONE


async def test_many_agents_never_get_the_same_task(world: World) -> None:
    await opened(world, *(task(f"t{number}") for number in range(30)))
    pods = [f"pod-{number}" for number in range(40)]
    answers = await asyncio.gather(*(world.work.claim(pod, ttl_seconds=TTL) for pod in pods))
    taken = [answer.task.id for answer in answers if isinstance(answer, Claimed)]
    tokens = {answer.lease.token for answer in answers if isinstance(answer, Claimed)}
    assert len(taken) == len(set(taken)) == len(tokens) == 30


async def test_claims_say_why_there_is_nothing(world: World) -> None:
    await opened(world, task("a"))
    await world.work.signal("provider", Signal(ok=False, reason="InvalidKey"))
    assert await reason(world) is EmptyReason.PROVIDER
    await world.work.signal("provider", Signal(ok=True, reason="Ok"))
    await world.admin.set_state(RunState.PAUSED)
    assert await reason(world) is EmptyReason.PAUSED
    await world.admin.set_state(RunState.CANCELLED)
    assert await reason(world) is EmptyReason.PAUSED
    await world.admin.set_state(RunState.FINISHED)
    assert await reason(world) is EmptyReason.DONE


async def test_an_expired_lease_returns_the_task_and_spends_no_attempt(world: World) -> None:
    await opened(world, task("a"))
    old = (await claimed(world)).lease
    await world.expire_lease("a")
    assert await world.admin.reap() == 1
    assert await state(world, "a") is TaskState.READY
    new = (await claimed(world, "pod-b")).lease
    assert new.attempt == 1
    assert new.token != old.token


async def test_a_claim_returns_expired_leases_when_nobody_else_does(world: World) -> None:
    await opened(world, task("a"))
    await claimed(world)
    await world.expire_lease("a")
    assert (await claimed(world, "pod-b")).task.id == "a"


async def test_a_heartbeat_saves_a_lease_that_nobody_has_reaped(world: World) -> None:
    await opened(world, task("a"))
    lease = (await claimed(world)).lease
    await world.expire_lease("a")
    assert await world.work.heartbeat(lease) is Reply.OK
    assert await world.admin.reap() == 0


async def test_a_lease_lasts_as_long_as_was_asked_for_and_so_does_its_heartbeat(world: World) -> None:
    await opened(world, task("a"))
    lease = (await claimed(world)).lease
    assert TTL - 30 < await world.lease_left("a") <= TTL
    await world.expire_lease("a")
    assert await world.work.heartbeat(lease) is Reply.OK
    assert TTL - 30 < await world.lease_left("a") <= TTL


async def test_a_stale_holder_changes_nothing(world: World) -> None:
    await opened(world, task("a"))
    old = (await claimed(world)).lease
    await world.expire_lease("a")
    new = (await claimed(world, "pod-b")).lease
    before = await view(world, "a")
    failure = Failure(kind=FailureKind.CHECK, message="no")
    replies = [
        await world.work.heartbeat(old),
        await world.work.submit(old, change("stale")),
        await world.work.fail(old, failure),
        await world.work.release(old, "bye"),
    ]
    assert replies == [Reply.STALE] * 4
    assert await view(world, "a") == before
    assert await world.work.submit(new, change("fresh")) is Reply.OK
    assert (await waiting(world)).change_set == change("fresh")


async def test_repeated_calls_are_recognised(world: World) -> None:
    await opened(world, task("a"), attempts=9)
    first = (await claimed(world)).lease
    assert await world.work.submit(first, change()) is Reply.OK
    assert await world.work.submit(first, change()) is Reply.DUP
    assert await world.work.submit(first, change("other")) is Reply.STALE
    submission = await waiting(world)
    assert await world.merge.send_back(submission, "base vanished") is Reply.OK
    assert await world.merge.send_back(submission, "base vanished") is Reply.DUP
    second = (await claimed(world)).lease
    failure = Failure(kind=FailureKind.CHECK, message="no")
    assert [await world.work.fail(second, failure) for _ in range(2)] == [Reply.OK, Reply.DUP]
    third = (await claimed(world)).lease
    assert [await world.work.release(third, "x") for _ in range(2)] == [Reply.OK, Reply.DUP]
    assert third.attempt == 2


async def test_a_pod_that_claims_again_gives_up_what_it_held(world: World) -> None:
    await opened(world, task("a"))
    lost = (await claimed(world)).lease
    again = (await claimed(world)).lease
    assert again.task_id == "a"
    assert await world.work.heartbeat(lost) is Reply.STALE
    assert again.attempt == 1


async def test_judged_failures_count_and_the_last_one_blocks(world: World) -> None:
    await opened(world, task("a"), task("b", TESTS, "a"), attempts=2)
    free = Failure(kind=FailureKind.INFRASTRUCTURE, message="pod evicted")
    assert await world.work.fail((await claimed(world)).lease, free) is Reply.OK
    first = await claimed(world)
    assert first.lease.attempt == 1
    await world.work.fail(first.lease, Failure(kind=FailureKind.FORMAT, message="no files"))
    second = await claimed(world)
    assert second.lease.attempt == 2
    assert [failure.message for failure in second.failures] == ["pod evicted", "no files"]
    await world.work.fail(second.lease, Failure(kind=FailureKind.CHECK, message="still no"))
    assert await state(world, "a") is TaskState.BLOCKED
    assert await reason(world) is EmptyReason.NO_WORK


async def test_a_retry_starts_afresh_with_the_hint(world: World) -> None:
    await opened(world, task("a"), attempts=1)
    await world.work.fail((await claimed(world)).lease, Failure(kind=FailureKind.CHECK, message="no"))
    assert await world.admin.resolve("a", "retry", "mind the gap") is Reply.OK
    assert await world.admin.resolve("a", "retry", "mind the gap") is Reply.DUP
    again = await claimed(world)
    assert (again.hint, again.lease.attempt, again.failures) == ("mind the gap", 1, ())
    assert await world.admin.resolve("nobody", "retry") is Reply.STALE
    with pytest.raises(Invalid, match="must be one of"):
        await world.admin.resolve("a", "explode")


async def test_at_most_five_failures_are_kept_each_with_its_tail(world: World) -> None:
    await opened(world, task("a"), attempts=20)
    for number in range(7):
        message = "no" + "abcdefg"[number]
        failure = Failure(kind=FailureKind.CHECK, message=message, output="x" * 20_000 + "end")
        await world.work.fail((await claimed(world)).lease, failure)
    kept = (await claimed(world)).failures
    assert [failure.message for failure in kept] == [f"no{letter}" for letter in "cdefg"]
    assert all(len(failure.output) == 16_384 and failure.output.endswith("end") for failure in kept)


async def test_a_failure_that_repeats_at_the_top_of_the_ladder_is_a_persons_turn(world: World) -> None:
    await opened(world, task("a"), attempts=9)
    first = Failure(kind=FailureKind.CHECK, message="missing import", output="line 3")
    for failure in (first, first.model_copy(update={"output": "line 12"})):
        await world.work.fail((await claimed(world)).lease, failure)
    assert await state(world, "a") is TaskState.BLOCKED
    await world.admin.resolve("a", "retry")
    await world.work.fail((await claimed(world)).lease, first)
    assert await state(world, "a") is TaskState.READY


async def test_failures_that_differ_use_every_attempt(world: World) -> None:
    await opened(world, task("a"), attempts=3)
    for message, then in (("one", TaskState.READY), ("two", TaskState.READY), ("one", TaskState.BLOCKED)):
        failure = Failure(kind=FailureKind.CHECK, message=message)
        await world.work.fail((await claimed(world)).lease, failure)
        assert await state(world, "a") is then


async def test_an_agent_lost_in_between_does_not_hide_that_a_failure_repeats(world: World) -> None:
    await opened(world, task("a"), attempts=9)
    failure = Failure(kind=FailureKind.CHECK, message="missing import")
    gone = Failure(kind=FailureKind.INFRASTRUCTURE, message="pod evicted")
    for one in (failure, gone, failure):
        await world.work.fail((await claimed(world)).lease, one)
    assert await state(world, "a") is TaskState.BLOCKED


async def test_after_a_persons_answer_a_failure_is_the_first_of_its_kind(world: World) -> None:
    await opened(world)
    await world.admin.enqueue([task("a")], plan_hash="h", max_attempts=9, landed={}, rungs=1)
    failure = Failure(kind=FailureKind.CHECK, message="the same")
    for _ in range(2):
        for then in (TaskState.READY, TaskState.BLOCKED):
            await world.work.fail((await claimed(world)).lease, failure)
            assert await state(world, "a") is then
        assert await world.admin.resolve("a", "retry") is Reply.OK


async def test_a_stronger_model_is_tried_before_a_person(world: World) -> None:
    await opened(world)
    await world.admin.enqueue([task("a")], plan_hash="h", max_attempts=9, landed={}, rungs=3)
    failure = Failure(kind=FailureKind.CHECK, message="the same")
    for then in (TaskState.READY, TaskState.READY, TaskState.BLOCKED):
        await world.work.fail((await claimed(world)).lease, failure)
        assert await state(world, "a") is then


async def test_pods_get_the_lowest_free_index_and_lose_it_when_gone(world: World) -> None:
    await opened(world)
    names = [(await world.work.register(f"pod-{letter}")).agent for letter in "abca"]
    assert names == ["agent-0", "agent-1", "agent-2", "agent-0"]
    await world.forget_agent(1)
    assert (await world.work.register("pod-d")).agent == "agent-1"
    assert (await world.work.register("pod-b")).agent == "agent-3"


async def test_an_agent_that_beats_keeps_its_index(world: World) -> None:
    await opened(world, task("a"))
    lease = (await claimed(world)).lease
    await world.forget_agent(0)
    assert await world.work.heartbeat(lease) is Reply.OK
    assert (await world.work.register("pod-b")).agent == "agent-1"


async def test_there_is_an_end_to_the_number_of_agents(world: World) -> None:
    await opened(world)
    await asyncio.gather(*(world.work.register(f"pod-{number}") for number in range(rules.MAX_AGENTS)))
    with pytest.raises(QueueFull, match=f"all {rules.MAX_AGENTS} agent indexes"):
        await world.work.register("pod-late")
    with pytest.raises(QueueFull, match=f"all {rules.MAX_AGENTS} agent indexes"):
        await world.work.claim("pod-late", ttl_seconds=TTL)
    assert (await world.work.register("pod-7")).agent != ""


async def test_agents_are_accounted_for(world: World) -> None:
    await opened(world, task("a"), task("b", TESTS))
    await delivered(world)
    await landed(world)
    lease = (await claimed(world)).lease
    [agent] = (await world.admin.snapshot()).agents
    assert (agent.pod, agent.task_id, agent.completed, agent.failed) == ("pod-a", "b", 1, 0)
    await world.work.fail(lease, Failure(kind=FailureKind.CHECK, message="no"))
    [agent] = (await world.admin.snapshot()).agents
    assert (agent.task_id, agent.completed, agent.failed) == ("", 1, 1)


async def test_a_waiting_agent_wakes_when_work_appears(world: World) -> None:
    await opened(world, task("a"), task("b", TESTS, "a"))
    await delivered(world)
    assert await reason(world, "pod-b") is EmptyReason.NO_WORK
    waiter = asyncio.create_task(world.work.wait("pod-b", timeout_seconds=30))
    await world.work.wait("pod-c", timeout_seconds=0.05)
    assert not waiter.done()
    await landed(world)
    await asyncio.wait_for(waiter, 5)
    assert (await claimed(world, "pod-b")).task.id == "b"


async def go_on(world: World) -> None:
    await world.admin.set_state(RunState.ACTIVE)


async def provider_is_back(world: World) -> None:
    await world.work.signal("provider", Signal(ok=True, reason="Ok"))


async def branch_is_known(world: World) -> None:
    assert await world.merge.mark_landed({}, epoch=2) is Reply.OK


async def more_money(world: World) -> None:
    await world.admin.set_limit(2_000)


async def stopped(world: World, end: Callable[[World], Awaitable[None]]) -> EmptyReason:
    """Give a run with work a reason to hand out none, which `end` takes away."""
    await opened(world, task("a"), task("b"))
    if end is go_on:
        await world.admin.set_state(RunState.PAUSED)
        return EmptyReason.PAUSED
    if end is branch_is_known:
        await world.admin.open(2)
        return EmptyReason.PAUSED
    if end is provider_is_back:
        await world.work.signal("provider", Signal(ok=False, reason="InvalidKey"))
        return EmptyReason.PROVIDER
    lease = (await claimed(world)).lease
    refused = await world.work.reserve("c", lease, worst_micro_usd=1_001, model="m", ttl_seconds=TTL)
    assert refused is ReserveOutcome.BUDGET
    return EmptyReason.BUDGET


@pytest.mark.parametrize("end", [go_on, provider_is_back, branch_is_known, more_money])
async def test_a_waiting_agent_wakes_when_a_stop_ends(
    world: World, end: Callable[[World], Awaitable[None]]
) -> None:
    why = await stopped(world, end)
    assert await reason(world, "pod-b") is why
    waiter = asyncio.create_task(world.work.wait("pod-b", timeout_seconds=30))
    await world.work.wait("pod-c", timeout_seconds=0.05)
    assert not waiter.done()
    await end(world)
    await asyncio.wait_for(waiter, 5)
    assert (await claimed(world, "pod-b")).task.id in {"a", "b"}


async def test_the_merger_wakes_when_a_change_set_arrives(world: World) -> None:
    await opened(world, task("a"))
    assert await world.merge.submissions(limit=5, timeout_seconds=0.05) == []
    waiter = asyncio.create_task(world.merge.submissions(limit=5, timeout_seconds=30))
    await delivered(world)
    [submission] = await asyncio.wait_for(waiter, 5)
    assert submission.task.id == "a"


async def test_the_reaper_keeps_to_its_limit(world: World) -> None:
    await opened(world, task("a"), task("b"), task("c"))
    leases = [(await claimed(world, pod)).lease for pod in ("pod-a", "pod-b", "pod-c")]
    for lease in leases:
        await world.expire_lease(lease.task_id)
    assert [await world.admin.reap(limit=2) for _ in range(3)] == [2, 1, 0]


async def test_of_two_equally_urgent_tasks_the_more_basic_type_comes_first(world: World) -> None:
    await opened(world, task("a", TaskType.REFACTOR), task("z", TaskType.SCAFFOLD))
    assert (await claimed(world)).task.id == "z"


async def test_infrastructure_never_blocks_a_task(world: World) -> None:
    await opened(world, task("a"), attempts=3)
    await world.work.fail((await claimed(world)).lease, Failure(kind=FailureKind.CHECK, message="no"))
    # Even when the user has lowered the number of attempts meanwhile.
    await opened(world, attempts=1)
    gone = Failure(kind=FailureKind.INFRASTRUCTURE, message="pod evicted")
    await world.work.fail((await claimed(world)).lease, gone)
    assert await state(world, "a") is TaskState.READY

"""Money: spent + reserved never passes the limit, and nobody stops while there is some left."""

from __future__ import annotations

import asyncio

import pytest

from contract.swarm import RED, TTL, claimed, delivered, fix_for, opened, state, task, view, waiting
from contract.worlds import World
from swarmrun.core.errors import Invalid
from swarmrun.core.task import Lease, Reply, TaskState
from swarmrun.queue.memory import MemoryQueue
from swarmrun.queue.port import Empty, EmptyReason, ReserveOutcome, RunState, Totals, Usage
from swarmrun.queue.redis import RedisQueue


async def reserve(world: World, call: str, lease: Lease, worst: int) -> ReserveOutcome:
    return await world.work.reserve(call, lease, worst_micro_usd=worst, model="m-1", ttl_seconds=TTL)


async def with_lease(world: World, limit: int) -> Lease:
    await opened(world, task("a"), task("b"), limit=limit)
    return (await claimed(world)).lease


def money(totals: Totals) -> tuple[int, int]:
    return totals.spent_micro_usd, totals.reserved_micro_usd


async def test_the_worst_case_is_held_and_replaced_by_the_real_cost(world: World) -> None:
    lease = await with_lease(world, 100)
    assert await reserve(world, "c1", lease, 100) is ReserveOutcome.RESERVED
    assert await reserve(world, "c1", lease, 100) is ReserveOutcome.DUPLICATE
    assert money(await world.work.totals()) == (0, 100)
    usage = Usage(input_tokens=7, cache_read_tokens=5, output_tokens=3, cost_micro_usd=40)
    assert [await world.work.settle("c1", usage) for _ in range(2)] == [Reply.OK, Reply.DUP]
    assert await world.work.totals() == Totals(
        limit_micro_usd=100, spent_micro_usd=40, tokens_in=7, tokens_out=3, tokens_cached=5, calls=1
    )
    assert (await view(world, "a")).cost_micro_usd == 40
    assert await reserve(world, "c1", lease, 1) is ReserveOutcome.DUPLICATE


async def test_unknown_usage_keeps_the_whole_hold(world: World) -> None:
    lease = await with_lease(world, 100)
    await reserve(world, "c1", lease, 60)
    assert await world.work.settle("c1", None) is Reply.OK
    assert money(await world.work.totals()) == (60, 0)
    assert await world.work.settle("c1", Usage(cost_micro_usd=1)) is Reply.DUP


async def test_an_expired_hold_is_spent_and_a_late_report_corrects_it(world: World) -> None:
    lease = await with_lease(world, 100)
    await reserve(world, "c1", lease, 60)
    await reserve(world, "c2", lease, 30)
    await world.expire_hold("c1")
    await world.expire_hold("c2")
    assert await world.admin.reap() == 2
    assert money(await world.work.totals()) == (90, 0)
    assert await world.work.settle("c1", Usage(cost_micro_usd=10)) is Reply.OK
    assert await world.work.cancel_reservation("c2") is Reply.OK
    assert money(await world.work.totals()) == (10, 0)


async def test_a_hold_lasts_as_long_as_was_asked_for_and_is_renewed_until_it_is_charged(world: World) -> None:
    lease = await with_lease(world, 100)
    await reserve(world, "c1", lease, 60)
    assert TTL - 30 < await world.hold_left("c1") <= TTL
    await world.expire_hold("c1")
    assert await world.work.renew_reservation("c1", ttl_seconds=TTL) is Reply.OK
    assert TTL - 30 < await world.hold_left("c1") <= TTL
    assert await world.admin.reap() == 0
    await world.expire_hold("c1")
    assert await world.admin.reap() == 1
    assert await world.work.renew_reservation("c1", ttl_seconds=TTL) is Reply.STALE
    assert money(await world.work.totals()) == (60, 0)


async def test_a_call_that_never_left_costs_nothing(world: World) -> None:
    lease = await with_lease(world, 100)
    await reserve(world, "c1", lease, 60)
    replies = [await world.work.cancel_reservation(call) for call in ("c1", "c1", "unknown")]
    assert replies == [Reply.OK, Reply.DUP, Reply.STALE]
    assert money(await world.work.totals()) == (0, 0)
    assert await world.work.settle("unknown", None) is Reply.STALE


async def test_only_a_live_lease_of_a_running_run_may_spend(world: World) -> None:
    lease = await with_lease(world, 100)
    await world.admin.set_state(RunState.PAUSED)
    assert await reserve(world, "c1", lease, 1) is ReserveOutcome.PAUSED
    await world.admin.set_state(RunState.ACTIVE)
    await world.expire_lease("a")
    assert await reserve(world, "c1", lease, 1) is ReserveOutcome.STALE
    await world.admin.reap()
    assert await reserve(world, "c1", lease, 1) is ReserveOutcome.STALE


async def test_a_refusal_stops_claims_until_the_limit_rises(world: World) -> None:
    lease = await with_lease(world, 100)
    assert await reserve(world, "c1", lease, 101) is ReserveOutcome.BUDGET
    assert (await world.work.totals()).exhausted
    assert await world.work.claim("pod-b", ttl_seconds=TTL) == Empty(reason=EmptyReason.BUDGET)
    await world.admin.set_limit(90)
    assert (await world.work.totals()).exhausted
    await world.admin.set_limit(200)
    assert not (await world.work.totals()).exhausted
    assert (await claimed(world, "pod-b")).task.id == "b"
    assert await reserve(world, "c1", lease, 101) is ReserveOutcome.RESERVED


async def test_a_refusal_ends_when_a_settlement_frees_enough(world: World) -> None:
    lease = await with_lease(world, 100)
    await reserve(world, "c1", lease, 80)
    assert await reserve(world, "c2", lease, 50) is ReserveOutcome.BUDGET
    await world.work.settle("c1", Usage(cost_micro_usd=60))
    assert (await world.work.totals()).exhausted
    await reserve(world, "c3", lease, 30)
    await world.work.settle("c3", Usage(cost_micro_usd=0))
    assert (await world.work.totals()).exhausted
    await reserve(world, "c4", lease, 40)
    assert await reserve(world, "c5", lease, 30) is ReserveOutcome.BUDGET
    await world.work.cancel_reservation("c4")
    assert not (await world.work.totals()).exhausted


async def test_a_stop_ends_when_the_cheapest_of_the_refused_fits(world: World) -> None:
    lease = await with_lease(world, 100)
    await reserve(world, "c1", lease, 80)
    for call, worst in (("c2", 90), ("c3", 50), ("c4", 95)):
        assert await reserve(world, call, lease, worst) is ReserveOutcome.BUDGET
    await world.work.settle("c1", Usage(cost_micro_usd=50))
    assert not (await world.work.totals()).exhausted
    assert await reserve(world, "c3", lease, 50) is ReserveOutcome.RESERVED


async def test_the_limit_never_falls_below_what_is_committed(world: World) -> None:
    lease = await with_lease(world, 100)
    await reserve(world, "c1", lease, 70)
    await world.admin.set_limit(10)
    assert (await world.work.totals()).limit_micro_usd == 70
    with pytest.raises(Invalid, match=r"0\.\.2\^53"):
        await world.admin.set_limit(-1)


async def test_a_crowd_at_a_nearly_spent_limit_overspends_nothing(world: World) -> None:
    await opened(world, *(task(f"t{number}") for number in range(50)), limit=1_000)
    leases = [(await claimed(world, f"pod-{number}")).lease for number in range(50)]

    async def agent(number: int) -> int:
        spent = 0
        for call in range(4):
            name = f"{number}.{call}"
            if await reserve(world, name, leases[number], 37) is ReserveOutcome.RESERVED:
                cost = (number + call) % 38
                await world.work.settle(name, Usage(cost_micro_usd=cost))
                spent += cost
            totals = await world.work.totals()
            assert sum(money(totals)) <= 1_000
        return spent

    spent = sum(await asyncio.gather(*(agent(number) for number in range(50))))
    assert money(await world.work.totals()) == (spent, 0)
    assert 0 < spent <= 1_000


async def test_costs_are_broken_down_by_model_and_type(world: World) -> None:
    lease = await with_lease(world, 100)
    await world.work.reserve("c1", lease, worst_micro_usd=50, model="big model", ttl_seconds=TTL)
    await world.work.settle("c1", Usage(cost_micro_usd=20, input_tokens=4))
    await world.work.reserve("c2", lease, worst_micro_usd=5, model="big model", ttl_seconds=TTL)
    await world.work.settle("c2", None)
    assert isinstance(world.work, MemoryQueue | RedisQueue)
    [line] = await world.work.cost_breakdown()
    assert (line.model, line.task_type, line.calls, line.unknown) == ("big model", "implement_endpoint", 2, 1)
    assert (line.cost_micro_usd, line.input_tokens) == (25, 4)


async def test_the_breakdown_follows_what_becomes_known_late(world: World) -> None:
    lease = await with_lease(world, 100)
    for call in ("late", "free", "lost"):
        await reserve(world, call, lease, 30)
        await world.expire_hold(call)
    assert await world.admin.reap() == 3
    await world.work.settle("late", Usage(cost_micro_usd=20, input_tokens=4))
    await world.work.cancel_reservation("free")
    assert isinstance(world.work, MemoryQueue | RedisQueue)
    [line] = await world.work.cost_breakdown()
    assert (line.calls, line.unknown, line.cost_micro_usd, line.input_tokens) == (2, 1, 50, 4)
    assert (await world.work.totals()).calls == 2


async def ask(world: World, call: str, lease: Lease, tokens: int) -> ReserveOutcome:
    return await world.work.reserve(
        call, lease, worst_micro_usd=1, worst_tokens=tokens, model="m-1", ttl_seconds=TTL
    )


async def test_spent_held_and_asked_tokens_never_pass_their_limit(world: World) -> None:
    lease = await with_lease(world, 100)
    await world.admin.set_limit(100, max_tokens=1_000)
    assert await ask(world, "c1", lease, 600) is ReserveOutcome.RESERVED
    assert (await world.work.totals()).reserved_tokens == 600
    assert await ask(world, "c2", lease, 401) is ReserveOutcome.BUDGET
    usage = Usage(input_tokens=100, cache_read_tokens=20, cache_write_tokens=30, output_tokens=50)
    assert await world.work.settle("c1", usage) is Reply.OK
    totals = await world.work.totals()
    assert (totals.spent_tokens, totals.reserved_tokens, totals.exhausted) == (200, 0, False)
    assert await ask(world, "c3", lease, 801) is ReserveOutcome.BUDGET
    assert (await world.work.totals()).exhausted
    assert await world.work.claim("pod-b", ttl_seconds=TTL) == Empty(reason=EmptyReason.BUDGET)
    await world.admin.set_limit(100, max_tokens=1_001)
    assert not (await world.work.totals()).exhausted
    assert await ask(world, "c3", lease, 801) is ReserveOutcome.RESERVED
    assert await ask(world, "c4", lease, 1) is ReserveOutcome.BUDGET
    await world.admin.set_limit(100)
    assert await ask(world, "c4", lease, 10**9) is ReserveOutcome.RESERVED
    with pytest.raises(Invalid, match="number of tokens"):
        await ask(world, "c5", lease, -1)


async def test_tokens_of_a_call_without_usage_count_whole_until_they_are_known(world: World) -> None:
    lease = await with_lease(world, 100)
    await world.admin.set_limit(100, max_tokens=1_000)
    for call in ("lost", "late", "free"):
        assert await ask(world, call, lease, 300) is ReserveOutcome.RESERVED
    await world.work.settle("lost", None)
    for call in ("late", "free"):
        await world.expire_hold(call)
    assert await world.admin.reap() == 2
    totals = await world.work.totals()
    assert (totals.tokens_unknown, totals.reserved_tokens) == (900, 0)
    await world.work.settle("late", Usage(input_tokens=10))
    await world.work.cancel_reservation("free")
    totals = await world.work.totals()
    assert (totals.tokens_unknown, totals.spent_tokens) == (300, 310)


async def under_repair(world: World, *, limit: int, reserve: int) -> Lease:
    """Task `a` was red and its repair waits; `b` is leased to another agent."""
    await opened(world, task("a"), task("b"), task("c"), limit=limit)
    await world.admin.set_limit(limit, fix_reserve_micro_usd=reserve)
    await delivered(world)
    lease = (await claimed(world, "pod-b")).lease
    await world.merge.reject(await waiting(world), RED, fix_for("a"))
    return lease


async def test_money_kept_for_repairs_is_theirs_alone(world: World) -> None:
    other = await under_repair(world, limit=100, reserve=30)
    assert await reserve(world, "c1", other, 71) is ReserveOutcome.BUDGET
    totals = await world.work.totals()
    assert (totals.exhausted, totals.exhausted_for_fixes) == (True, False)
    # Others are parked, repairs go on: also for an agent that would rather do something else.
    assert not (await world.admin.snapshot()).out_of_budget
    repair = (await claimed(world, "pod-c")).lease
    assert repair.task_id == "fix.a"
    assert await world.work.claim("pod-d", ttl_seconds=TTL) == Empty(reason=EmptyReason.BUDGET)
    assert not (await world.admin.snapshot()).out_of_budget
    assert await reserve(world, "c2", repair, 100) is ReserveOutcome.RESERVED


async def test_others_go_on_when_a_settlement_leaves_room_beside_the_reserve(world: World) -> None:
    other = await under_repair(world, limit=100, reserve=30)
    await reserve(world, "c1", other, 60)
    assert await reserve(world, "c2", other, 20) is ReserveOutcome.BUDGET
    await world.work.settle("c1", Usage(cost_micro_usd=51))
    assert (await world.work.totals()).exhausted
    await world.admin.set_limit(100, fix_reserve_micro_usd=29)
    assert not (await world.work.totals()).exhausted
    assert await reserve(world, "c3", other, 20) is ReserveOutcome.RESERVED


async def test_a_refused_repair_stops_everything(world: World) -> None:
    await under_repair(world, limit=100, reserve=30)
    repair = (await claimed(world, "pod-c")).lease
    assert repair.task_id == "fix.a"
    assert await reserve(world, "c1", repair, 101) is ReserveOutcome.BUDGET
    snapshot = await world.admin.snapshot()
    assert snapshot.totals.exhausted_for_fixes
    assert snapshot.out_of_budget
    assert await world.work.release(repair, "no budget") is Reply.OK
    assert await world.work.claim("pod-c", ttl_seconds=TTL) == Empty(reason=EmptyReason.BUDGET)
    await world.admin.set_limit(101, fix_reserve_micro_usd=30)
    assert (await claimed(world, "pod-c")).lease.task_id == "fix.a"


async def test_a_repair_s_second_life_keeps_what_the_first_has_cost(world: World) -> None:
    await opened(world, task("a"), attempts=2)
    for life in range(2):
        await delivered(world)
        await world.merge.reject(await waiting(world), RED, fix_for("a"))
        repair = (await claimed(world)).lease
        assert await reserve(world, f"c{life}", repair, 10) is ReserveOutcome.RESERVED
        assert await world.work.settle(f"c{life}", Usage(cost_micro_usd=7)) is Reply.OK
        await world.work.fail(repair, RED)
        assert await world.admin.resolve("a", "retry") is Reply.OK
    assert (await view(world, "fix.a")).cost_micro_usd == 14
    assert money(await world.work.totals()) == (14, 0)
    assert await world.admin.audit() == ()


async def test_without_a_repair_to_do_the_reserve_stops_the_run_until_one_appears(world: World) -> None:
    await opened(world, task("a"), task("b"), limit=100)
    await world.admin.set_limit(100, fix_reserve_micro_usd=30)
    await delivered(world)
    other = (await claimed(world, "pod-b")).lease
    assert await reserve(world, "c1", other, 80) is ReserveOutcome.BUDGET
    assert (await world.admin.snapshot()).out_of_budget
    assert await world.work.claim("pod-c", ttl_seconds=TTL) == Empty(reason=EmptyReason.BUDGET)
    await world.merge.reject(await waiting(world), RED, fix_for("a"))
    assert not (await world.admin.snapshot()).out_of_budget
    assert (await claimed(world, "pod-c")).lease.task_id == "fix.a"
    assert await state(world, "b") is TaskState.LEASED


BEFORE = Totals(
    spent_micro_usd=40, reserved_micro_usd=5, tokens_in=9, tokens_out=3, tokens_unknown=2, calls=6
)


async def test_a_lost_ledger_begins_where_the_run_stood(world: World) -> None:
    await world.admin.open(2, spent=BEFORE)
    await world.admin.set_limit(50, max_tokens=20)
    await world.admin.open(2, spent=BEFORE)
    # What was in flight when the store was lost may have been billed.
    assert await world.work.totals() == Totals(
        limit_micro_usd=50,
        max_tokens=20,
        spent_micro_usd=45,
        tokens_in=9,
        tokens_out=3,
        tokens_unknown=2,
        calls=6,
    )
    await world.admin.enqueue([task("a")], plan_hash="h", max_attempts=3, landed={})
    await world.admin.set_state(RunState.ACTIVE)
    await world.merge.mark_landed({}, epoch=2)
    lease = (await claimed(world)).lease
    assert await ask(world, "c1", lease, 7) is ReserveOutcome.BUDGET
    assert await reserve(world, "c2", lease, 6) is ReserveOutcome.BUDGET
    assert await reserve(world, "c3", lease, 5) is ReserveOutcome.RESERVED


async def test_a_ledger_that_survived_counts_nothing_twice(world: World) -> None:
    lease = await with_lease(world, 100)
    await reserve(world, "c1", lease, 30)
    await world.work.settle("c1", Usage(cost_micro_usd=20, input_tokens=4, cache_read_tokens=5))
    await world.work.reserve("c2", lease, worst_micro_usd=10, worst_tokens=1, model="m", ttl_seconds=TTL)
    before = await world.work.totals()
    await world.admin.open(2, spent=Totals(spent_micro_usd=20, reserved_micro_usd=10, tokens_in=9, calls=1))
    assert await world.work.totals() == before
    # An older epoch says nothing; a newer one that knows more raises the sums.
    await world.admin.open(1, spent=Totals(spent_micro_usd=90))
    await world.admin.open(2, spent=Totals(spent_micro_usd=90))
    assert await world.work.totals() == before
    await world.admin.open(3, spent=Totals(spent_micro_usd=35, tokens_in=12))
    totals = await world.work.totals()
    assert (money(totals), totals.tokens_in + totals.tokens_cached) == ((25, 10), 12)

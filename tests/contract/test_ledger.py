"""Money: spent + reserved never passes the limit, and nobody stops while there is some left."""

from __future__ import annotations

import asyncio

import pytest

from contract.swarm import TTL, claimed, opened, task, view
from contract.worlds import World
from swarmrun.core.errors import Invalid
from swarmrun.core.task import Lease, Reply
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

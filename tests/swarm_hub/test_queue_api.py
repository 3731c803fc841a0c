import asyncio
from typing import Any

import aiohttp
import pytest

from hub_support import Provider, RunningHub, running_hub, tasks
from swarmrun.core.task import Task, TaskType
from swarmrun.queue.port import EmptyReason, RunState
from swarmrun.runconfig import ClaimResponse, ModelPolicy, SoftThreshold

LEASE = {"task_id": "t", "token": "1-1"}
CHANGE = {"base": "", "edits": [{"path": "src/a.ts", "content": "x"}]}


async def post(hub: RunningHub, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with hub.http.post(f"{hub.url}{path}", json=body) as answer:
        return answer.status, await answer.json()


async def claim(hub: RunningHub, wait_seconds: float = 0, pod: str = "pod-0") -> ClaimResponse:
    status, body = await post(hub, "/v1/claim", {"pod": pod, "wait_seconds": wait_seconds})
    assert status == 200
    return ClaimResponse.model_validate(body)


async def empty_the_queue(hub: RunningHub) -> None:
    for number in range(3):
        assert (await claim(hub, pod=f"pod-{number}")).claimed


async def test_a_claim_names_task_model_and_dialect(hub: RunningHub) -> None:
    answer = await claim(hub)
    assert answer.claimed
    assert answer.claimed.task.type is TaskType.IMPLEMENT_ENDPOINT
    assert (answer.model, answer.dialect, answer.empty) == ("gpt-4-turbo", "openai", None)


async def test_without_work_the_reason_is_given(hub: RunningHub) -> None:
    await empty_the_queue(hub)
    answer = await claim(hub, pod="pod-9")
    assert answer.empty
    assert answer.empty.reason is EmptyReason.NO_WORK


async def test_a_waiting_claim_gets_work_when_it_appears(hub: RunningHub) -> None:
    await empty_the_queue(hub)
    hub.queue.claiming.clear()
    waiting = asyncio.create_task(claim(hub, 30, "pod-9"))
    await hub.queue.claiming.wait()
    late = Task(id="late", type=TaskType.WRITE_DOCS, title="Late")
    await hub.queue.enqueue([*tasks(3), late], plan_hash="abc", max_attempts=3, landed={})
    answer = await asyncio.wait_for(waiting, 10)
    assert answer.claimed
    assert answer.claimed.task.id == "late"


async def test_a_paused_run_makes_no_hot_loop(hub: RunningHub) -> None:
    await hub.queue.set_state(RunState.PAUSED)
    answer = await claim(hub, 0.6)
    assert answer.empty
    assert answer.empty.reason is EmptyReason.PAUSED
    assert hub.queue.claims <= 8


async def test_a_paused_claim_wakes_up_when_the_run_goes_on(hub: RunningHub) -> None:
    await hub.queue.set_state(RunState.PAUSED)
    waiting = asyncio.create_task(claim(hub, 30))
    await hub.queue.claiming.wait()
    await hub.queue.set_state(RunState.ACTIVE)
    assert (await asyncio.wait_for(waiting, 10)).claimed


async def test_a_claim_whose_agent_went_away_is_given_back(hub: RunningHub) -> None:
    hub.queue.gate.clear()
    async with aiohttp.ClientSession(headers=dict(hub.http.headers)) as session:
        lost = asyncio.create_task(session.post(f"{hub.url}/v1/claim", json={"pod": "pod-0"}))
        await hub.queue.claiming.wait()
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
    hub.queue.gate.set()
    released = await asyncio.wait_for(hub.queue.released.get(), 10)
    assert released in {task.id for task in tasks(3)}


async def test_draining_ends_waiting_claims_and_readiness(hub: RunningHub) -> None:
    await empty_the_queue(hub)
    hub.queue.claiming.clear()
    waiting = asyncio.create_task(claim(hub, 60, "pod-9"))
    await hub.queue.claiming.wait()
    hub.hub.claims.drain()
    assert (await asyncio.wait_for(waiting, 10)).empty
    async with hub.http.get(f"{hub.url}/readyz") as answer:
        assert answer.status == 503


async def test_a_lease_lives_through_heartbeat_and_submit_and_then_is_stale(hub: RunningHub) -> None:
    claimed = (await claim(hub)).claimed
    assert claimed
    lease = {"task_id": claimed.lease.task_id, "token": claimed.lease.token}
    assert await post(hub, "/v1/heartbeat", lease) == (200, {"reply": "OK"})
    submission = {**lease, "change_set": CHANGE}
    assert await post(hub, "/v1/submit", submission) == (200, {"reply": "OK"})
    assert await post(hub, "/v1/submit", submission) == (200, {"reply": "DUP"})
    assert await post(hub, "/v1/heartbeat", lease) == (409, {"reply": "STALE"})


async def test_fail_and_release_end_the_lease(hub: RunningHub) -> None:
    for path, extra in (
        ("/v1/fail", {"failure": {"kind": "check", "message": "red"}}),
        ("/v1/release", {"reason": "shutting down"}),
    ):
        claimed = (await claim(hub)).claimed
        assert claimed
        lease = {"task_id": claimed.lease.task_id, "token": claimed.lease.token}
        assert await post(hub, path, {**lease, **extra}) == (200, {"reply": "OK"})
        assert (await post(hub, "/v1/heartbeat", lease))[0] == 409


@pytest.mark.parametrize(
    ("path", "body", "faulty"),
    [
        ("/v1/claim", {}, "pod"),
        ("/v1/claim", {"pod": "p", "wait_seconds": 61}, "wait_seconds"),
        ("/v1/claim", {"pod": "p", "extra": 1}, "extra"),
        ("/v1/heartbeat", {"task_id": "t", "token": "x"}, "token"),
        (
            "/v1/submit",
            {"task_id": "t", "token": "1-1", "change_set": {"base": "", "edits": []}},
            "change_set.edits",
        ),
        (
            "/v1/fail",
            {"task_id": "t", "token": "1-1", "failure": {"kind": "odd", "message": ""}},
            "failure.kind",
        ),
    ],
)
async def test_bad_input_is_answered_with_path_value_rule_and_fix(
    hub: RunningHub, path: str, body: dict[str, Any], faulty: str
) -> None:
    status, answer = await post(hub, path, body)
    assert status == 400
    assert [problem["path"] for problem in answer["error"]["problems"]] == [faulty]
    assert all(problem["rule"] and problem["fix"] for problem in answer["error"]["problems"])


async def test_a_body_that_is_no_json_is_answered_with_400(hub: RunningHub) -> None:
    async with hub.http.post(f"{hub.url}/v1/claim", data=b"{") as answer:
        assert answer.status == 400


async def test_a_body_beyond_the_cap_is_answered_with_413(hub: RunningHub) -> None:
    status, answer = await post(hub, "/v1/heartbeat", {"task_id": "t" * 70_000, "token": "1-1"})
    assert (status, answer["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("path", ["/v1/claim", "/v1/submit", "/v1/fail", "/v1/release", "/v1/heartbeat"])
async def test_a_wrong_token_is_refused_everywhere(hub: RunningHub, path: str) -> None:
    async with hub.http.post(
        f"{hub.url}{path}", json={}, headers={"Authorization": "Bearer wrong"}
    ) as answer:
        assert answer.status == 401


async def test_health_needs_no_token(hub: RunningHub) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/healthz", "/readyz"):
            async with session.get(f"{hub.url}{path}") as answer:
                assert answer.status == 200


async def test_each_failed_attempt_climbs_the_ladder_of_models_and_the_last_rung_stays(
    provider: Provider,
) -> None:
    models = ModelPolicy(default="gpt-4-turbo", escalation=("gpt-4o", "gpt-4.1"))
    async with running_hub(provider, models=models, max_attempts=5) as hub:
        asked = []
        for fault in ("syntax", "types", "lint", "tests"):
            answer = await claim(hub)
            assert answer.claimed
            asked.append(answer.model)
            lease = {"task_id": answer.claimed.lease.task_id, "token": answer.claimed.lease.token}
            await post(hub, "/v1/fail", {**lease, "failure": {"kind": "check", "message": fault}})
    assert asked == ["gpt-4-turbo", "gpt-4-turbo", "gpt-4o", "gpt-4.1"]


async def test_many_waiting_agents_are_all_served_and_make_few_claims(hub: RunningHub) -> None:
    await empty_the_queue(hub)
    before = hub.queue.claims
    waiting = [asyncio.create_task(claim(hub, 30, f"agent-{n}")) for n in range(200)]
    async with asyncio.timeout(20):
        while hub.queue.claims < before + 200:
            hub.queue.claiming.clear()
            await hub.queue.claiming.wait()
    late = [Task(id=f"late-{n}", type=TaskType.WRITE_DOCS, title="Late") for n in range(200)]
    await hub.queue.enqueue([*tasks(3), *late], plan_hash="abc", max_attempts=3, landed={})
    answers = await asyncio.wait_for(asyncio.gather(*waiting), 20)
    assert {answer.claimed.task.id for answer in answers if answer.claimed} == {task.id for task in late}
    assert hub.queue.claims <= before + 3 * 200


async def test_once_a_soft_threshold_is_reached_claims_name_the_cheaper_model(provider: Provider) -> None:
    policy = ModelPolicy(
        default="gpt-4-turbo",
        escalation=("gpt-5",),
        soft_thresholds=(SoftThreshold(percent=50, model="gpt-4o-mini"),),
    )
    # One call of 1300 micro-dollars beside its worst case: more than half of the limit, and less.
    async with running_hub(provider, models=policy, limit_micro_usd=2600) as hub:
        first = await claim(hub)
        assert first.claimed
        assert first.model == "gpt-4-turbo"
        lease = first.claimed.lease
        await hub.queue.reserve(
            "c1", lease, worst_micro_usd=1300, worst_tokens=1, model=first.model, ttl_seconds=60
        )
        assert (await claim(hub, pod="pod-1")).model == "gpt-4o-mini"
        await hub.queue.cancel_reservation("c1")
        assert (await claim(hub, pod="pod-2")).model == "gpt-4-turbo"


async def test_a_claim_whose_model_cannot_be_told_is_given_back(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ModelPolicy(
        default="gpt-4-turbo", soft_thresholds=(SoftThreshold(percent=50, model="gpt-4o-mini"),)
    )
    async with running_hub(provider, models=policy) as hub:

        async def away() -> None:
            raise ConnectionError

        monkeypatch.setattr(hub.queue, "totals", away, raising=False)
        status, body = await post(hub, "/v1/claim", {"pod": "pod-0", "wait_seconds": 0})
        assert (status, body["error"]["code"]) == (503, "store_unavailable")
        assert await asyncio.wait_for(hub.queue.released.get(), 10) == "task-0"

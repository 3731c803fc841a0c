"""The whole operator against a real API server and a real Redis: what a person would see."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from operator_process import PROJECT, OperatorProcess, finish_all_tasks
from swarmrun.core.task import Failure, FailureKind
from swarmrun.queue.keys import Keys
from swarmrun.queue.port import Claimed
from swarmrun.queue.redis import connect

pytestmark = [pytest.mark.controlplane, pytest.mark.redis, pytest.mark.timeout(180)]


def test_a_run_lives_from_its_manifest_to_its_report_and_leaves_nothing(
    operator_process: OperatorProcess,
) -> None:
    op = operator_process
    op.apply("todo")
    op.wait("deploy/todo-hub", "create")
    op.play_pods("todo")
    op.wait("swr/todo", "condition=Ready")
    assert op.get("swr/todo")["status"]["agents"]["ready"] == 2
    with op.queue("todo") as queue:
        landed = asyncio.run(finish_all_tasks(queue))
    op.wait("swr/todo", "condition=Succeeded")
    status = op.get("swr/todo")["status"]
    assert status["progress"] == f"{landed}/{landed}"
    assert status["tests"]["summary"] == "3/3"
    report = op.get("cm/todo-report")["data"]
    assert json.loads(report["report.json"])["code"]["lines"] == 120
    assert "SUCCESS" in report["report.md"]
    op.wait("deploy/todo-hub", "delete")
    assert op.names("deploy,svc,cm,netpol,secret") == ["configmap/todo-report"]
    uid = op.get("swr/todo")["metadata"]["uid"]
    op.kubectl("delete", "swr", "todo", "--timeout=30s")
    op.wait("cm/todo-report", "delete")
    assert asyncio.run(_left_in_redis(op, uid)) == ([], [])


async def _left_in_redis(op: OperatorProcess, uid: str) -> tuple[list[str], list[str]]:
    client = connect(op.redis.url)
    keys = [str(k) async for k in client.scan_iter(f"*{uid}*")]
    users = [str(u) for u in await client.acl_users() if uid in str(u)]
    await client.aclose()
    return keys, users


def test_an_invalid_project_creates_nothing_and_lists_its_faults(operator_process: OperatorProcess) -> None:
    op = operator_process
    op.apply("bad", project={**PROJECT, "architecture": {"framework": "Rails", "database": "PostgreSQL"}})
    op.wait_reason("bad", "PlanReady", "UnsupportedStack")
    run = op.get("swr/bad")
    ready = next(c for c in run["status"]["conditions"] if c["type"] == "PlanReady")
    assert "spec.project.architecture.framework" in ready["message"]
    assert len(run["status"]["conditions"]) == 11
    assert "finalizers" not in run["metadata"]
    assert op.names("deploy,svc,cm,netpol,secret") == []
    op.apply("bad")
    op.wait_phase("bad", "Provisioning")


def test_a_queue_that_disagrees_with_itself_is_told_and_the_run_ends_all_the_same(
    operator_process: OperatorProcess,
) -> None:
    op = operator_process
    op.apply("todo")
    op.wait_reason("todo", "QueueReady", "Open")
    uid = op.get("swr/todo")["metadata"]["uid"]
    asyncio.run(_miscount(op, uid, 1))
    # The first look of a process asks the auditor.
    op.kill()
    op.start()
    op.wait_reason("todo", "QueueReady", "InvariantBroken")
    asyncio.run(_miscount(op, uid, -1))
    with op.queue("todo") as queue:
        asyncio.run(finish_all_tasks(queue))
    op.wait("swr/todo", "condition=Succeeded")
    # The last one came before the end, and found it mended.
    op.wait_reason("todo", "QueueReady", "Open")
    told = {(e["reason"], e["type"]) for e in op.get("events.events.k8s.io")["items"]}
    assert ("InvariantBroken", "Warning") in told
    assert ("InvariantsHold", "Normal") in told


async def _miscount(op: OperatorProcess, uid: str, by: int) -> None:
    client = connect(op.redis.url)
    await client.hincrby(Keys(uid)["run"], "total", by)
    await client.aclose()


def test_a_killed_operator_goes_on_where_it_was(operator_process: OperatorProcess) -> None:
    op = operator_process
    op.apply("todo")
    op.wait("deploy/todo-hub", "create")
    op.wait_reason("todo", "QueueReady", "Open")
    op.kill(signal.SIGKILL)
    before = {d["metadata"]["name"]: d["metadata"]["generation"] for d in op.get("deploy")["items"]}
    op.patch("todo", suspend=True)
    op.start()
    op.wait_phase("todo", "Suspended")
    after = {d["metadata"]["name"]: d["metadata"]["generation"] for d in op.get("deploy")["items"]}
    changed = {n for n in before if before[n] != after[n]}
    assert changed == {"todo-agents"}
    assert op.get("swr/todo")["status"]["queueEpoch"] == 1
    assert op.kill(signal.SIGTERM) == 0


def test_a_lost_store_is_built_again_behind_a_higher_fence(operator_process: OperatorProcess) -> None:
    op = operator_process
    op.apply("todo")
    op.wait_reason("todo", "QueueReady", "Open")
    total = op.get("swr/todo")["status"]["tasks"]["total"]
    op.redis.kill()
    op.redis.start()
    op.wait("swr/todo", "jsonpath={.status.queueEpoch}=2")
    op.wait_reason("todo", "QueueReady", "Open")
    with op.queue("todo") as queue:
        seen = asyncio.run(queue.snapshot())
    assert (seen.epoch, len(seen.tasks)) == (2, total)


def test_a_blocked_task_asks_a_person_and_goes_on_with_the_answer(operator_process: OperatorProcess) -> None:
    op = operator_process
    op.apply("todo", maxAttempts=1)
    op.wait_reason("todo", "QueueReady", "Open")
    op.wait("swr/todo", "jsonpath={.status.tasks.total}")

    async def fail_once() -> None:
        with op.queue("todo") as queue:
            found = await queue.claim("pod-0", ttl_seconds=60)
            assert isinstance(found, Claimed)
            await queue.fail(found.lease, Failure(kind=FailureKind.CHECK, message="no", output="boom"))

    asyncio.run(fail_once())
    op.wait_reason("todo", "Stalled", "TasksBlocked")
    (escalation,) = op.get("swe")["items"]
    assert "boom" in escalation["spec"]["evidence"][0]
    name = escalation["metadata"]["name"]
    answer = json.dumps({"spec": {"resolution": "Retry", "hint": "start small"}})
    op.kubectl("patch", "swe", name, "--type=merge", "-p", answer)
    op.wait(f"swe/{name}", "jsonpath={.status.state}=Resolved")
    op.wait_reason("todo", "Stalled", "Progressing")


def test_a_missing_secret_is_named(operator_process: OperatorProcess) -> None:
    op = operator_process
    op.apply("todo", provider={"type": "OpenAI", "credentialsSecretRef": {"name": "openai"}})
    op.wait("deploy/todo-hub", "create")
    op.wait("deploy/todo-hub", "jsonpath={.status.updatedReplicas}=1")
    (pod,) = op.get("pods", "-l", "app.kubernetes.io/component=hub")["items"]
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "openai" not found'}
    container = {"name": "hub", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    status = {"status": {"containerStatuses": [{**container, "state": {"waiting": waiting}}]}}
    op.kubectl("patch", "pod", pod["metadata"]["name"], "--subresource=status", "-p", json.dumps(status))
    op.wait_reason("todo", "AgentsAvailable", "SecretNotFound")
    events = op.get("events.events.k8s.io")["items"]
    assert any(e["reason"] == "SecretNotFound" and "'openai'" in e["note"] for e in events)

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from merge_values import GATE, scaffold, task, test_task
from merge_world import World, free_port, settle
from swarm_merge.gates import GatesUnavailable
from swarm_merge.merger import BranchMovedError, Merger
from swarm_merge.verdict import Verdict
from swarmrun.core.task import FailureKind, Task, TaskState
from swarmrun.queue.port import Claimed, Empty, EmptyReason, RunState
from swarmrun.vcs.remote import RemoteProblem
from swarmrun.vcs.repo import NewCommit

PASSING = "print('ok')\n"
FAILING = "raise SystemExit('users must be created')\n"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def merger(world: World, session: aiohttp.ClientSession) -> Merger:
    return world.merger(session)


@pytest.fixture
def gate_runs(merger: Merger, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The tasks of every gate run, while the real gates decide."""
    seen: list[list[str]] = []
    real = merger.judge.judge

    async def noting(commit: str, paths: frozenset[str], candidates: list[Task]) -> Verdict:
        seen.append([t.id for t in candidates])
        return await real(commit, paths, candidates)

    monkeypatch.setattr(type(merger.judge), "judge", lambda _, *args: noting(*args))
    return seen


async def scaffolded(world: World, merger: Merger, *tasks: Task) -> None:
    """Land a scaffold, then open these tasks."""
    await world.plan(scaffold(), *(t.model_copy(update={"depends_on": ("scaffold",)}) for t in tasks))
    await world.submit("scaffold", {"gate.py": GATE, "src/main.py": "1\n"})
    await settle(merger)
    assert await world.states() == {"scaffold": TaskState.COMPLETED, **{t.id: TaskState.READY for t in tasks}}


async def test_a_batch_lands_with_one_gate_run_and_one_commit_per_task(
    world: World, merger: Merger, gate_runs: list[list[str]]
) -> None:
    await scaffolded(world, merger, task("users"), task("orders"), test_task("orders", "orders"))
    await world.submit("users", {"src/users.py": "u\n"})
    await world.submit("orders", {"src/orders.py": "o\n"})
    await world.submit("orders.tests", {"tests/test_orders.py": PASSING})
    await settle(merger)
    assert [len(run) for run in gate_runs] == [1, 3]
    assert sorted(world.log()) == ["orders", "orders.tests", "scaffold", "users"]
    assert set((await world.states()).values()) == {TaskState.COMPLETED}
    snapshot = await world.queue.snapshot()
    assert snapshot.tests.commit == world.head()
    assert (snapshot.tests.passing, snapshot.tests.coverage_percent) == (1, 75.0)
    assert snapshot.documents["gates"]["steps"][0]["exit_code"] == 0
    assert snapshot.signals["repository"].reason == snapshot.signals["gates"].reason == "Ready"
    assert (await world.task("users")).commit in world.log("%H")


async def test_a_queue_that_was_built_again_hears_what_has_landed_and_gets_its_figures_back(
    world: World, merger: Merger, gate_runs: list[list[str]]
) -> None:
    await scaffolded(world, merger, task("users"))
    before = await world.queue.snapshot()
    await world.queue.purge()
    await world.queue.open(2)
    await world.queue.enqueue(
        [scaffold(), task("users").model_copy(update={"depends_on": ("scaffold",)})],
        plan_hash="h",
        max_attempts=3,
        landed={},
    )
    await world.queue.set_state(RunState.ACTIVE)
    assert await world.queue.claim("pod-0", ttl_seconds=60) == Empty(reason=EmptyReason.PAUSED)
    await merger.round()
    assert await world.states() == {"scaffold": TaskState.COMPLETED, "users": TaskState.READY}
    assert (await world.task("scaffold")).commit == world.head()
    after = await world.queue.snapshot()
    assert after.tests == before.tests
    assert after.tests.commit == world.head()
    assert isinstance(await world.queue.claim("pod-0", ttl_seconds=60), Claimed)


async def test_one_bad_change_set_blocks_nobody_and_its_fix_lands_with_it(
    world: World, merger: Merger, gate_runs: list[list[str]]
) -> None:
    names = ["a", "b", "c", "d"]
    await scaffolded(world, merger, *map(task, names))
    for name in names:
        await world.submit(name, {f"src/{name}.py": "BROKEN\n" if name == "c" else "good\n"})
    await settle(merger)
    assert len(gate_runs) <= 1 + 4
    assert sorted(world.log()) == ["a", "b", "d", "scaffold"]
    culprit = await world.task("c")
    assert culprit.state is TaskState.FIXING
    assert culprit.failures[-1].kind is FailureKind.GATE
    assert "src/c.py is broken" in culprit.failures[-1].output

    claimed = await world.submit("fix.c", {"src/c.py": "good\n"})
    assert [e.content for e in claimed.stack[0].edits] == ["BROKEN\n"]
    await settle(merger)
    assert world.log()[-2:] == ["c", "fix.c"]
    assert world.file("src/c.py") == "good"
    assert (await world.states())["c"] is (await world.states())["fix.c"] is TaskState.COMPLETED


async def test_red_tests_are_repaired_in_the_code_and_stay_as_written(world: World, merger: Merger) -> None:
    await scaffolded(world, merger, task("users"), test_task("users", "users"))
    await world.submit("users", {"src/users.py": "u\n"})
    await settle(merger)
    check = "import sys; sys.exit('fixed' not in open('src/users.py').read())\n"
    await world.submit("users.tests", {"tests/test_users.py": check})
    await settle(merger)
    assert (await world.task("users.tests")).state is TaskState.FIXING
    claimed = await world.submit("fix.users.tests", {"src/users.py": "fixed\n"})
    assert claimed.task.owned == ("src/users.py",)
    await settle(merger)
    assert world.log()[-2:] == ["users.tests", "fix.users.tests"]
    assert world.file("tests/test_users.py") == check.strip()


@pytest.mark.parametrize("fixes", [["typo", "import"], ["syntax"]], ids=["each in its own way", "all alike"])
async def test_a_task_whose_fixes_stay_red_is_blocked_with_the_evidence(
    world: World, merger: Merger, fixes: list[str]
) -> None:
    await scaffolded(world, merger, task("users"))
    await world.submit("users", {"src/users.py": "BROKEN syntax\n"})
    await settle(merger)
    for fault in fixes:
        await world.submit("fix.users", {"src/users.py": f"BROKEN {fault}\n"})
        await settle(merger)
    assert await world.states() == {
        "scaffold": TaskState.COMPLETED,
        "users": TaskState.BLOCKED,
        "fix.users": TaskState.SKIPPED,
    }
    assert world.log() == ["scaffold"]


async def test_tests_that_never_ran_are_red(world: World, merger: Merger) -> None:
    promised = test_task("users", "x").model_copy(update={"owned": ("tests/**",)})
    await scaffolded(world, merger, promised)
    await world.submit("users.tests", {"tests/other.py": PASSING})
    await settle(merger)
    failed = await world.task("users.tests")
    assert failed.state is TaskState.FIXING
    assert failed.failures[-1].message == "no file of the tree matches tests/test_users.py"


async def test_changes_on_the_branch_are_merged_or_reported_with_both_sides(
    world: World, merger: Merger
) -> None:
    await scaffolded(world, merger, task("users"), task("orders", owned=("src/users.py",)))
    old = world.upstream.commit("app", {"src/users.py": "1\n2\n3\n4\n5\n6\n"})
    world.upstream.commit("app", {"src/users.py": "one\n2\n3\n4\n5\n6\n"})
    await world.submit("users", {"src/users.py": "1\n2\n3\n4\n5\nsix\n"}, base=old)
    await settle(merger)
    assert world.file("src/users.py") == "one\n2\n3\n4\n5\nsix"
    await world.submit("orders", {"src/users.py": "uno\n2\n3\n4\n5\n6\n"}, base=old)
    await settle(merger)
    again = await world.task("orders")
    assert again.state is TaskState.READY
    assert again.failures[-1].kind is FailureKind.CONFLICT
    assert {"one", "uno"} <= {line.strip() for line in again.failures[-1].output.splitlines()}


async def test_two_change_sets_that_clash_are_judged_one_after_the_other(
    world: World, merger: Merger
) -> None:
    await scaffolded(world, merger, task("a", owned=("src/x.py",)), task("b", owned=("src/x.py",)))
    await world.submit("a", {"src/x.py": "a\n"})
    await world.submit("b", {"src/x.py": "b\n"})
    await settle(merger)
    assert sorted((await world.states()).values()) == [
        TaskState.COMPLETED,
        TaskState.COMPLETED,
        TaskState.READY,
    ]
    assert len(world.log()) == 2


async def test_a_lost_race_is_run_again_on_what_the_other_pushed(
    world: World, merger: Merger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scaffolded(world, merger, task("users"))
    await world.submit("users", {"src/users.py": "u\n"})
    real = merger.mirror.push

    async def late(commit: str) -> object:
        monkeypatch.undo()
        world.upstream.commit("app", {"NOTES.md": "by a person\n"})
        return await real(commit)

    monkeypatch.setattr(merger.mirror, "push", late)
    with pytest.raises(BranchMovedError):
        await merger.round()
    assert (await world.states())["users"] is TaskState.SUBMITTED
    await settle(merger)
    assert world.log() == ["scaffold", "", "users"]


async def test_a_push_of_unknown_outcome_lands_exactly_once(world: World, merger: Merger) -> None:
    await scaffolded(world, merger, task("users"))
    await world.submit("users", {"src/users.py": "u\n"})
    world.upstream.drop_push_answers = 1
    with pytest.raises(BranchMovedError):
        await merger.round()
    assert world.log() == ["scaffold", "users"]
    await settle(merger)
    assert world.log() == ["scaffold", "users"]
    assert (await world.task("users")).commit == world.head()


async def test_a_refused_push_keeps_the_work_and_names_the_reason(world: World, merger: Merger) -> None:
    await scaffolded(world, merger, task("users"))
    await world.submit("users", {"src/users.py": "u\n"})
    world.upstream.refuse_pushes("app")
    with pytest.raises(RemoteProblem) as caught:
        await merger.round()
    await merger._note(caught.value)
    assert (await world.queue.snapshot()).signals["repository"].reason == "PushRejected"
    world.upstream.allow_pushes("app")
    await settle(merger)
    assert (await world.states())["users"] is TaskState.COMPLETED
    assert (await world.queue.snapshot()).signals["repository"].ok


async def test_absent_gates_spend_no_attempt(world: World, session: aiohttp.ClientSession) -> None:
    url = world.config.gates_url
    world.config = world.config.model_copy(update={"gates_url": f"http://127.0.0.1:{free_port()}"})
    merger = world.merger(session)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    merger.judge.pause = pause
    await world.plan(scaffold())
    await world.submit("scaffold", {"gate.py": GATE})
    with pytest.raises(GatesUnavailable):
        await settle(merger)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    snapshot = await world.queue.snapshot()
    assert not snapshot.signals["gates"].ok
    assert snapshot.tasks[0].failures == ()
    world.config = world.config.model_copy(update={"gates_url": url})
    await settle(world.merger(session))
    assert (await world.states())["scaffold"] is TaskState.COMPLETED


async def test_a_change_set_that_breaks_the_merger_goes_back_and_the_others_land(
    world: World, merger: Merger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scaffolded(world, merger, task("a"), task("b"))
    await world.submit("a", {"src/a.py": "a\n"})
    await world.submit("b", {"src/b.py": "b\n"})
    real = merger.mirror.build

    async def picky(commits: list[NewCommit], *, parent: str) -> list[str]:
        if any(c.path == "src/a.py" for commit in commits for c in commit.changes):
            raise ValueError("not this one")
        return await real(commits, parent=parent)

    monkeypatch.setattr(merger.mirror, "build", picky)

    async def stop_when_settled(seconds: float) -> None:
        pauses.append(seconds)

    pauses: list[float] = []
    merger.pause = stop_when_settled
    loop = asyncio.create_task(merger.loop())
    async with asyncio.timeout(20):
        while (await world.states())["b"] is not TaskState.COMPLETED:
            await asyncio.wait([loop], timeout=0.05)
    await merger.finish(loop, 5)
    assert pauses == [1, 2, 4]
    assert (await world.states())["a"] is TaskState.READY
    assert (await world.task("a")).failures[-1].message.startswith("the merger cannot process")


async def test_a_damaged_mirror_is_made_anew(
    world: World, merger: Merger, session: aiohttp.ClientSession
) -> None:
    await scaffolded(world, merger, task("users"))
    for file in [*merger.mirror.path.glob("objects/??/*"), *merger.mirror.path.glob("objects/pack/*")]:
        file.chmod(0o600)
        file.write_bytes(b"")
    (merger.mirror.path / "packed-refs.lock").touch()
    await world.submit("users", {"src/users.py": "u\n"})
    await settle(world.merger(session))
    assert world.log() == ["scaffold", "users"]


async def test_a_push_that_failed_does_not_pay_for_its_gates_twice(world: World, merger: Merger) -> None:
    await scaffolded(world, merger, task("users"))
    await world.submit("users", {"src/users.py": "u\n"})
    world.upstream.refuse_pushes("app")
    for _ in range(3):
        with pytest.raises(RemoteProblem):
            await merger.round()
    counted = world.metrics.registry.get_sample_value(
        "swarmrun_merge_gate_seconds_count", {"namespace": "team", "run": "app", "outcome": "green"}
    )
    assert counted == 2


async def test_an_idle_merger_measures_the_code_and_renews_the_figures_of_a_foreign_head(
    world: World, merger: Merger, session: aiohttp.ClientSession
) -> None:
    await scaffolded(world, merger, task("users"))
    await world.submit("users", {"src/users.py": "def f(x):\n    return 1 if x else 2\n"})
    await settle(merger)
    head = world.upstream.commit("app", {"tests/test_users.py": PASSING})
    restarted = world.merger(session)
    await settle(restarted)
    await restarted.round()
    assert restarted._measuring is not None
    await restarted._measuring
    snapshot = await world.queue.snapshot()
    assert snapshot.tests.commit == head
    assert snapshot.tests.total == 1
    assert snapshot.documents["code"]["complexity_max"] == 2
    assert snapshot.documents["code"]["by_language"]["Python"]["files"] == 4

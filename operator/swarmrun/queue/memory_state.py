"""The facts that `MemoryQueue` keeps, and the one function that moves a task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from swarmrun.core.task import (
    FINAL,
    TRANSITIONS,
    TYPE_RANK,
    ChangeSet,
    Failure,
    Lease,
    Task,
    TaskState,
    specialization_of,
)
from swarmrun.queue import rules
from swarmrun.queue.port import Activity, AgentView, RunState, Signal, Submission, TaskView, TestTotals


@dataclass
class Record:
    """One task. `lease` is the latest claim, kept so that a repetition is recognised."""

    task: Task
    state: TaskState = TaskState.PENDING
    lease: Lease | None = None
    deadline: float = 0.0
    change_set: ChangeSet | None = None
    #: Order of arrival at the merger.
    arrival: int = 0
    failures: int = 0
    #: Of the last failure that spent an attempt.
    fingerprint: str = ""
    evidence: list[Failure] = field(default_factory=list)
    hint: str = ""
    fix: str = ""
    agent: str = ""
    commit: str = ""
    claimed_at: float = 0.0
    submitted_at: float = 0.0
    finished_at: float = 0.0
    cost: int = 0
    #: The last act that ended a claim or a submission, and its token.
    done: tuple[str, str] = ("", "")
    accepted: tuple[str, str] = ("", "")

    @property
    def rank(self) -> tuple[int, int, str]:
        """Order among the ready, most urgent first."""
        return -self.task.priority, TYPE_RANK[self.task.type], self.task.id

    def submission(self, stack: tuple[Submission, ...]) -> Submission:
        """Show the waiting change set as the merger sees it."""
        if self.lease is None or self.change_set is None:
            raise AssertionError(f"{self.task.id} has nothing to merge")
        return Submission(
            task=self.task,
            lease=self.lease,
            change_set=self.change_set,
            stack=stack,
            submitted_at=self.submitted_at,
        )

    def view(self) -> TaskView:
        """Show the task as people see it."""
        return TaskView(
            id=self.task.id,
            type=self.task.type,
            title=self.task.title,
            state=self.state,
            agent=self.agent,
            attempt=self.lease.attempt if self.lease else 0,
            failures=tuple(self.evidence),
            fix_of=self.task.fix_of,
            commit=self.commit,
            claimed_at=self.claimed_at,
            submitted_at=self.submitted_at,
            finished_at=self.finished_at,
            cost_micro_usd=self.cost,
        )


@dataclass
class Agent:
    """One agent index."""

    index: int
    pod: str
    seen: float
    task: str = ""
    completed: int = 0
    failed: int = 0

    @property
    def name(self) -> str:
        """The name on leases and commits."""
        return f"agent-{self.index}"

    def view(self) -> AgentView:
        """Show the agent as people see it."""
        return AgentView(
            agent=self.name,
            pod=self.pod,
            specialization=specialization_of(self.index),
            task_id=self.task,
            last_seen=self.seen,
            completed=self.completed,
            failed=self.failed,
        )


@dataclass
class State:
    """Everything a run knows but its money."""

    epoch: int | None = None
    #: Until when claims wait for the merger's word on what has landed; None once it was given.
    unreported: float | None = None
    counter: int = 0
    arrivals: int = 0
    plan_hash: str = ""
    max_attempts: int = 1
    rungs: int = 1
    run_state: RunState = RunState.PAUSED
    tasks: dict[str, Record] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    activity: list[Activity] = field(default_factory=list)
    signals: dict[str, Signal] = field(default_factory=dict)
    documents: dict[str, Any] = field(default_factory=dict)
    tests: TestTotals = field(default_factory=TestTotals)

    def note(self, at: float, verb: str, record: Record, agent: str) -> None:
        """Add a line of activity; the newest come first, old ones go."""
        line = Activity(at=at, agent=agent, verb=verb, task_id=record.task.id, title=record.task.title)
        self.activity = [line, *self.activity][: rules.ACTIVITY_LENGTH]

    def agent(self, name: str) -> Agent | None:
        """Find an agent by its name."""
        return next((agent for agent in self.agents.values() if agent.name == name), None)

    def move(self, record: Record, to: TaskState, now: float) -> None:
        """Change a task's state along the table, and nothing else."""
        if to not in TRANSITIONS[record.state]:
            raise AssertionError(f"illegal move of {record.task.id} from {record.state} to {to}")
        if record.state is TaskState.LEASED:
            for agent in self.agents.values():
                if agent.task == record.task.id:
                    agent.task = ""
        record.state = to
        if to is TaskState.READY:
            record.agent, record.claimed_at, record.submitted_at = "", 0.0, 0.0
        elif to is TaskState.SUBMITTED:
            self.arrivals += 1
            record.arrival, record.submitted_at = self.arrivals, now
        elif to in FINAL:
            record.finished_at = now
        if to not in rules.KEEPS_CHANGES:
            record.change_set = None

    def free_dependents(self, now: float) -> None:
        """Let every task go on whose dependencies are all final."""
        for record in self.tasks.values():
            if record.state is TaskState.PENDING and self.unblocked(record.task):
                self.move(record, TaskState.READY, now)

    def unblocked(self, task: Task) -> bool:
        """Tell whether all dependencies are final."""
        return all(self.tasks[other].state in FINAL for other in task.depends_on)

    def give_back(self, record: Record, now: float) -> None:
        """Return a claim or a submission; nobody's work was judged."""
        self.note(now, "returned", record, record.agent)
        self.move(record, TaskState.READY, now)

"""Renders docs/reference/reasons.md: every reason of a condition, what it means and what to do.

The list of reasons comes from the code; only the words are here. A reason without words, or words without a
reason, fails.
"""

from __future__ import annotations

import sys
from typing import Final

from hack.docs.generated import cell, note, write_or_compare

from swarm_operator.conditions import MEANINGS
from swarm_operator.reasons import Reason
from swarmrun.vcs.remote import RemoteReason

PAGE: Final = "docs/reference/reasons.md"

#: (what it means, what to do); nothing to do is "".
Words = dict[str, tuple[str, str]]

_INPUT: Final[Words] = {
    "InvalidSpec": (
        "A field of the spec breaks a rule that the CRD cannot check.",
        "The message lists every fault with its path. Correct the manifest and apply it again.",
    ),
    "InvalidProject": (
        "The project specification cannot be planned. Nothing was created, or what runs is paused.",
        "The message lists every fault at once, one a line. Correct them and apply again.",
    ),
    "UnsupportedStack": (
        "No built-in profile fits `architecture.framework` and `architecture.database`.",
        "The message names the stacks that exist. Name one of them.",
    ),
    "SpecTooLarge": (
        "The spec has more than 128 KiB as JSON.",
        "Move the project into a ConfigMap and name it in `spec.projectFrom`.",
    ),
    "ConfigMapNotFound": (
        "`spec.projectFrom` names a ConfigMap or a key that is not there, or that the operator may not read.",
        "Create it in the run's namespace. The operator looks again by itself.",
    ),
    "PriceUnknown": (
        "A model has no known price, so no call of it may be made.",
        "Declare it under `spec.provider.prices` (0 is allowed), or name another model.",
    ),
    "Planned": ("The plan exists; the message has its number of tasks.", ""),
    "AwaitingApproval": (
        "`spec.approval` is `Plan`, and this plan has not been approved.",
        "Run the `kubectl annotate` command of the message. A changed plan needs a new approval.",
    ),
}
_START: Final[Words] = {
    "Pending": ("The operator has not got so far yet.", "If it stays: is the operator running?"),
    "Provisioning": ("The run's objects are being created, or its pods start.", ""),
    "Opening": ("The queue is about to be opened for the first time.", ""),
    "Open": ("The queue takes claims.", ""),
    "QueueUnavailable": (
        "The operator gets no answer from Redis. Work stands still; nothing is lost.",
        "Look at the Redis pod, or at your own server. The run goes on by itself.",
    ),
    "QueueLost": (
        "Redis lost the queue, or went back in time. The operator fills it again from the plan.",
        "Nothing; what is on the branch is recognised. If it happens again: is `redis.persistence` on?",
    ),
    "InvariantBroken": (
        "The audit of each minute found a misplaced task, or a wrong sum. The run goes on.",
        "Has somebody written into Redis? If not, it is a fault of ours: report it with the message.",
    ),
}
_WORK: Final[Words] = {
    "Running": ("Agents work.", ""),
    "ProviderFallback": (
        "Agents work with `spec.provider.fallback`; the message says why the first credential is refused.",
        "Top up the account. For a new key correct the Secret, then delete the hub's pod.",
    ),
    "WaitingForAgents": (
        "Hub, merger, gates or all agents are not ready yet; the message says which.",
        "If it stays for minutes: `kubectl describe pod` of the component.",
    ),
    "AgentsReady": ("At least one agent, the hub, the merger and the gates are ready.", ""),
    "ScaledToZero": ("The run is suspended, so it has no agents.", "Set `spec.suspend` to false."),
    "SecretNotFound": (
        "A pod needs a Secret that is not in the run's namespace; the message names it.",
        "Create the Secret. The pod starts by itself.",
    ),
    "SecretKeyNotFound": (
        "The Secret is there but lacks the key that the spec names.",
        "Add the key to the Secret, or correct `key`. The pod starts by itself.",
    ),
    "PodsRefused": (
        "The API server refuses the run's pods: a quota, a policy, a missing PriorityClass or RuntimeClass.",
        "The message quotes the refusal. Mend the namespace or `spec.agents`.",
    ),
    "RepositoryReady": ("The merger can read the repository and may push to it.", ""),
    "NotContactedYet": ("The merger has not tried the repository yet.", ""),
    "WithinBudget": ("The budget bears the next calls.", ""),
    "SoftThreshold": (
        "A share of `modelPolicy.softThresholds` is spent or reserved; claims get the model of the message.",
        "Nothing; or raise `spec.budget.maxCostUSD` to have the planned models back.",
    ),
    "BudgetExhausted": (
        "A call was refused because what is left of the budget does not cover its worst case.",
        "Raise `spec.budget.maxCostUSD`, or `maxTokens` if the message says so. See the guide on budgets.",
    ),
    "TasksBlocked": (
        "Every task that is left waits for a person.",
        "`kubectl get swe`, read the evidence, answer with `spec.resolution`.",
    ),
    "Suspended": ("`spec.suspend` is true.", "Set it to false to go on."),
    "NotSuspended": ("`spec.suspend` is false.", ""),
    "Progressing": ("Nothing keeps the run from moving.", ""),
}
_END: Final[Words] = {
    "InProgress": ("The run is not over.", ""),
    "Finishing": ("All tasks are done; the report is being written.", ""),
    "AllTasksCompleted": ("Every task is on the target branch.", ""),
    "CompletedWithSkippedTasks": (
        "The run succeeded, without the tasks that a person skipped or that left the plan.",
        "The report lists them.",
    ),
    "CoverageTooLow": (
        "Every task is done, and the tests cover less than is asked for; the message names both figures.",
        "What has landed stays. Ask for more tests in the specification, or for less coverage.",
    ),
    "Cancelled": ("`spec.cancel` is true. The run is over for good.", "Create another SwarmRun."),
    "DeadlineExceeded": (
        "The run took longer than `spec.activeDeadlineSeconds`.",
        "What has landed stays. Create another SwarmRun with more time.",
    ),
    "EscalationAnsweredFail": ("A SwarmEscalation was answered with `Fail`.", ""),
}
_REMOTE: Final[Words] = {
    "Ready": ("The repository can be read and pushed to.", ""),
    "RepositoryUnreachable": (
        "Fetching or listing the repository failed for a reason other than the credentials.",
        "Check the URL, the network, and whether the merger's egress is open. It tries again by itself.",
    ),
    "AuthenticationFailed": (
        "The git server refuses the credentials, or ssh refuses the host key.",
        "Correct the Secret, then delete the merger's pod: it reads the Secret at its start.",
    ),
    "BranchNotFound": (
        "The repository has branches, but not the one of `spec.repository.branch`.",
        "Create the branch. It tries again by itself.",
    ),
    "PushRejected": (
        "The git server takes no pushes from this credential or to this branch.",
        "Give the key write access, or let it pass the branch protection.",
    ),
}
_PROVIDER: Final[Words] = {
    "ProviderUnauthorized": (
        "The provider answered 401 or 403, or the key is empty or malformed.",
        "Correct the Secret. The hub restarts by itself and reads it again.",
    ),
    "ModelNotFound": (
        "The provider answered 404.",
        "Check `spec.model`, the names of `spec.modelPolicy`, and `spec.provider.baseURL`.",
    ),
    "ProviderQuotaExhausted": ("The provider says that the account has no credit.", "Top up the account."),
    "GatesUnavailable": (
        "The gates' pod does not answer or is busy. No attempt is spent.",
        "If it stays: `kubectl describe pod` and `kubectl logs` of the gates.",
    ),
}


def _check() -> None:
    """Demand words for every reason of the code, and no others.

    Raises:
        SystemExit: they differ.
    """
    for what, words, code in (
        ("swarm_operator.reasons", {**_INPUT, **_START, **_WORK, **_END}, {r.value for r in Reason}),
        ("swarmrun.vcs.remote", _REMOTE, {r.value for r in RemoteReason}),
    ):
        if different := sorted(set(words) ^ code):
            raise SystemExit(f"{what} and hack/docs/reasons_reference.py differ in {', '.join(different)}")


def _table(words: Words) -> str:
    rows = [f"| `{name}` | {cell(means)} | {cell(act)} |" for name, (means, act) in words.items()]
    return "\n".join(["| reason | means | do |", "|---|---|---|", *rows]) + "\n"


def _conditions() -> str:
    rows = [f"| `{kind}` | {meaning.good} | {meaning.state} |" for kind, meaning in MEANINGS.items()]
    return "\n".join(["| condition | good when | before anything is known |", "|---|---|---|", *rows]) + "\n"


_INTRO: Final = """# Conditions and reasons

`kubectl get swr` shows the reason of condition `Ready`; `kubectl get swr -o wide` its message;
`kubectl describe swr NAME` all conditions. Programs read conditions; `phase` is for people.
"""
_KUBELET: Final = """## From the kubelet

Where a container does not start for another reason, the condition carries the kubelet's own word, such as
`ImagePullBackOff`, `ErrImageNeverPull`, `InvalidImageName`, `CreateContainerConfigError` (these four count as
stalled) or `CrashLoopBackOff`. `kubectl describe pod` says more.
"""


def page() -> str:
    """Render the page."""
    _check()
    sections = (
        ("Input", _INPUT),
        ("Start", _START),
        ("Work", _WORK),
        ("End", _END),
        ("From the repository", _REMOTE),
        ("From provider and gates", _PROVIDER),
    )
    body = "\n".join(f"## {title}\n\n{_table(words)}" for title, words in sections)
    parts = [_INTRO, _conditions(), body, _KUBELET]
    return note("operator/swarm_operator/reasons.py and hack/docs/reasons_reference.py") + "\n".join(parts)


if __name__ == "__main__":
    sys.exit(write_or_compare({PAGE: page()}, check="--check" in sys.argv))

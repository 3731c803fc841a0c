"""What a failed conversation with the remote means, judged from git's own words. Pure.

git has no machine-readable errors for this; the phrases are those of git 2.30 to 2.50, curl and OpenSSH with
LC_ALL=C. Whatever is unknown counts as unreachable, which is retried.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from swarmrun.core.errors import Stalled


class RemoteReason(StrEnum):
    """Reasons of the signal "repository"; the value becomes the condition's reason."""

    READY = "Ready"
    UNREACHABLE = "RepositoryUnreachable"
    AUTHENTICATION = "AuthenticationFailed"
    BRANCH = "BranchNotFound"
    REJECTED = "PushRejected"


class PushOutcome(StrEnum):
    """How a push ended. UNKNOWN means: it may have happened."""

    DONE = "done"
    MOVED = "moved"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class RemoteProblem(Stalled):
    """The remote does not let the run go on. It is tried again all the same: a person may repair it."""

    def __init__(self, reason: RemoteReason, message: str) -> None:
        super().__init__(reason.value, message)


_AUTHENTICATION: Final = re.compile(
    r"authentication failed|could not read (username|password)|permission denied"
    r"|invalid username or (password|token)"
    r"|returned error: 40[13]|host key verification failed|no matching host key|load key .*(invalid|error)"
    r"|access denied|not authorized|unable to get password|error in libcrypto",
    re.IGNORECASE,
)
_READ_ONLY: Final = re.compile(
    r"marked as read only|write access to repository not granted|not allowed to push|protected branch"
    r"|pre-receive hook declined|remote rejected|service not enabled|denied to|returned error: 403",
    re.IGNORECASE,
)
_MOVED: Final = re.compile(
    r"non-fast-forward|fetch first|stale info|failed to update ref|cannot lock ref|incorrect old value"
    r"|reference already exists",
    re.IGNORECASE,
)


def reason_of(stderr: str) -> RemoteReason:
    """Tell why fetching or listing the remote failed."""
    return RemoteReason.AUTHENTICATION if _AUTHENTICATION.search(stderr) else RemoteReason.UNREACHABLE


def push_outcome(stdout: str, stderr: str) -> PushOutcome:
    """Tell how a failed push ended, from `--porcelain` lines and standard error."""
    refused = [line for line in stdout.splitlines() if line.startswith("!")]
    text = "\n".join(refused)
    if refused and _MOVED.search(text):
        return PushOutcome.MOVED
    if refused or _READ_ONLY.search(stderr):
        return PushOutcome.REJECTED
    return PushOutcome.UNKNOWN


def explain(stderr: str, *, limit: int = 400) -> str:
    """Cut git's words to what a person needs: the last lines that say something, without progress noise."""
    lines = [
        line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith(("hint:", "To "))
    ]
    return "; ".join(lines[-4:])[-limit:]

"""Refuse change sets that carry credentials. Pure; few rules of high precision.

Formats are those the vendors document (GitHub, GitLab, AWS, Slack, Google, Stripe, OpenAI, Anthropic, npm); a
private key is a PEM or OpenSSH block with content. The finding names place and rule, never the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from swarmrun.core.task import FileEdit

_RULES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        (
            "private key",
            r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\s*(?:\\n)?[A-Za-z0-9+/=]{16,}",
        ),
        ("GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})"),
        ("GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("AWS access key", r"\b(?:AKIA|ASIA)(?!IOSFODNN7EXAMPLE)[A-Z2-7]{16}\b"),
        ("Slack token", r"\bxox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{16,}"),
        ("Google API key", r"\bAIza[A-Za-z0-9_-]{35}\b"),
        ("Stripe key", r"\b[rs]k_live_[A-Za-z0-9]{20,}"),
        ("Anthropic key", r"\bsk-ant-[a-z0-9]+-[A-Za-z0-9_-]{32,}"),
        (
            "OpenAI key",
            r"\bsk-(?:proj-|svcacct-)?(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[A-Z])[A-Za-z0-9_-]{40,}",
        ),
        ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    )
)


class Finding(NamedTuple):
    """Where a credential stands and of which kind it is."""

    path: str
    line: int
    rule: str

    def __str__(self) -> str:
        """Render on one line, without the value."""
        return f"{self.path}:{self.line}: {self.rule}"


def scan(edits: Iterable[FileEdit]) -> list[Finding]:
    """List every credential in the new contents."""
    return [
        Finding(edit.path, edit.content.count("\n", 0, match.start()) + 1, rule)
        for edit in edits
        for rule, pattern in _RULES
        for match in pattern.finditer(edit.content)
    ]

"""Figures from the reports that gates leave: JUnit XML and LCOV. Pure.

JUnit XML has no binding standard; counted are the `testcase` elements, not the sums that suites claim, and a
case passes when it has no `failure`, `error` or `skipped` child (the reading of Jenkins and GitLab).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from defusedxml import ElementTree

_NAMED_FAILURES: Final = 20
_TEXT_LIMIT: Final = 4000


class ReportError(ValueError):
    """A report that cannot be read."""


@dataclass(frozen=True, slots=True)
class CaseFailure:
    """One test that failed, with the start of what it said."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class JUnit:
    """What a JUnit report says. `mentions`: every name by which a test that ran could name its file."""

    passing: int = 0
    failing: int = 0
    skipped: int = 0
    failures: tuple[CaseFailure, ...] = ()
    mentions: frozenset[str] = frozenset()

    @property
    def total(self) -> int:
        """Count the tests that ran; skipped ones prove nothing and do not count."""
        return self.passing + self.failing

    def covers(self, path: str) -> bool:
        """Tell whether a test of file `path` ran: by path, by its end, or by dotted module name."""
        stem = re.sub(r"\.[A-Za-z0-9]+$", "", path)
        dotted = stem.replace("/", ".")
        return any(
            name in {path, dotted}
            or name.endswith(("/" + path, "." + dotted))
            or name.startswith((path + " ", dotted + "."))
            for name in self.mentions
        )


def parse_junit(data: bytes) -> JUnit:
    """Read a JUnit XML report.

    Raises:
        ReportError: it is not well-formed XML, or uses entities or a DTD.
    """
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except Exception as error:  # expat and defusedxml share no base of their own
        raise ReportError(f"the JUnit report must be plain XML: {error}") from error
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failures: list[CaseFailure] = []
    mentions: set[str] = set()
    waiting = [(root, frozenset[str]())]
    while waiting:
        element, above = waiting.pop()
        names = above | _names(element)
        waiting += [(child, names) for child in reversed(element)]
        if element.tag != "testcase":
            continue
        outcome, bad = _outcome(element)
        counts[outcome] += 1
        if outcome != "skipped":
            mentions |= names
        if bad is not None and len(failures) < _NAMED_FAILURES:
            text = f"{bad.get('message') or ''}\n{bad.text or ''}".strip()
            failures.append(CaseFailure(element.get("name") or "?", text[:_TEXT_LIMIT]))
    return JUnit(counts["passed"], counts["failed"], counts["skipped"], tuple(failures), frozenset(mentions))


def _names(element: Element) -> frozenset[str]:
    if element.tag not in {"testsuite", "testcase"}:
        return frozenset()
    given = (element.get(key) for key in ("file", "filepath", "name", "classname"))
    return frozenset(name.replace("\\", "/").removeprefix("./") for name in given if name)


def _outcome(case: Element) -> tuple[str, Element | None]:
    for tag in ("failure", "error"):
        if (bad := case.find(tag)) is not None:
            return "failed", bad
    return ("skipped" if case.find("skipped") is not None else "passed"), None


def parse_lcov(text: str) -> float:
    """Return the percentage of lines that ran, over all files of an LCOV trace; 0 when it has no line.

    Counted from `DA:` records, so that a file listed twice (one record per test name) counts once per line.
    """
    lines: dict[tuple[str, int], bool] = {}
    source = ""
    for record in text.splitlines():
        if record.startswith("SF:"):
            source = record[3:]
        elif match := re.match(r"DA:(\d+),(\d+)", record):
            key = (source, int(match[1]))
            lines[key] = lines.get(key, False) or int(match[2]) > 0
    return round(100 * sum(lines.values()) / len(lines), 2) if lines else 0.0


def missing_tests(expected: Iterable[str], report: JUnit) -> list[str]:
    """List the expected test files of which the report shows no test."""
    return sorted(path for path in expected if not report.covers(path))

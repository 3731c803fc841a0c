"""The figures themselves: lines, complexity, maintainability, technical debt. Imports the analysers."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any, Final

import lizard
from pygments.lexers import get_lexer_for_filename  # type: ignore[import-untyped]  # it ships no types
from pygments.token import Comment, Keyword, Operator, Punctuation, Text, Whitespace  # type: ignore[import-untyped]  # it ships no types
from pygments.util import ClassNotFound  # type: ignore[import-untyped]  # it ships no types
from pygount import SourceAnalysis

_SKIPPED: Final = frozenset({"node_modules", "dist", "build", "coverage", ".venv", "vendor"})
_LOCK_FILES: Final = frozenset({"package-lock.json", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "uv.lock"})
#: McCabe's own limit for a function (NIST 500-235), and what each excess is reckoned to cost.
_MAX_COMPLEXITY: Final = 10
_MAX_LENGTH: Final = 60
_MAX_PARAMETERS: Final = 6
_BASIS: Final = (
    "estimate: 10 min per function above complexity 10 and 3 min per point beyond, 15 min per function above "
    "60 lines, 10 min per function above 6 parameters"
)


def analyse(root: Path) -> dict[str, Any]:
    """Measure every source file below `root`."""
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and not _skipped(p.relative_to(root))]
    lines: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    complexities: list[int] = []
    indices: list[float] = []
    debt = 0
    for path in files:
        found = SourceAnalysis.from_file(str(path), "swarm", fallback_encoding="utf-8")
        if not found.is_countable:
            continue
        counts[found.language] += 1
        lines[found.language] += found.code_count
        functions = _functions(path)
        complexities += [f[0] for f in functions]
        debt += sum(_minutes(*f) for f in functions)
        if functions:
            indices.append(_maintainability(path, found.code_count, [f[0] for f in functions]))
    return {
        "files": sum(counts.values()),
        "lines": sum(lines.values()),
        "by_language": {n: {"files": counts[n], "lines": lines[n]} for n, _ in lines.most_common(30)},
        "functions": len(complexities),
        "complexity_average": round(sum(complexities) / len(complexities), 2) if complexities else 0.0,
        "complexity_max": max(complexities, default=0),
        "maintainability_index": round(sum(indices) / len(indices), 1) if indices else 100.0,
        "technical_debt_minutes": debt,
        "technical_debt_basis": _BASIS,
    }


def _skipped(path: Path) -> bool:
    return path.name in _LOCK_FILES or any(part in _SKIPPED for part in path.parts[:-1])


def _functions(path: Path) -> list[tuple[int, int, int]]:
    """List complexity, lines and parameters of each function; none for what lizard does not know."""
    if lizard.get_reader_for(str(path)) is None:
        return []
    found = lizard.analyze_file(str(path))
    return [(f.cyclomatic_complexity, f.nloc, f.parameter_count) for f in found.function_list]


def _minutes(complexity: int, length: int, parameters: int) -> int:
    over = max(0, complexity - _MAX_COMPLEXITY)
    return (
        (10 + 3 * over if over else 0)
        + (15 if length > _MAX_LENGTH else 0)
        + (10 if parameters > _MAX_PARAMETERS else 0)
    )


def _maintainability(path: Path, lines: int, complexities: list[int]) -> float:
    """Coleman and Oman, 1994: 171 - 5.2 ln V - 0.23 CC - 16.2 ln LOC, scaled to 0-100 and never below 0."""
    volume = max(1.0, _halstead_volume(path))
    average = sum(complexities) / len(complexities)
    raw = 171 - 5.2 * math.log(volume) - 0.23 * average - 16.2 * math.log(max(1, lines))
    return max(0.0, min(100.0, raw * 100 / 171))


def _halstead_volume(path: Path) -> float:
    """N · log₂ n over the lexer's tokens: operators and keywords against all other names and literals."""
    text = path.read_text(errors="replace")
    try:
        lexer = get_lexer_for_filename(path.name, text)
    except ClassNotFound:
        return 0.0
    seen: Counter[tuple[bool, str]] = Counter()
    for kind, value in lexer.get_tokens(text):
        if kind in Comment or kind in Whitespace or (kind in Text and not value.strip()):
            continue
        operator = kind in Operator or kind in Keyword or kind in Punctuation
        seen[operator, value] += 1
    return sum(seen.values()) * math.log2(len(seen)) if len(seen) > 1 else 0.0

"""Data to standard output, errors to standard error; colour only on a terminal and without NO_COLOR."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum

from rich.console import Console
from rich.markup import escape

from swarmrun.core.errors import Problem
from swarmrun.core.words import clean


class Format(StrEnum):
    """Forms of an answer."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class Out:
    """Both streams of the program. Rich honours NO_COLOR and knows whether a terminal listens."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def unicode(self) -> bool:
        """Tell whether standard output can carry symbols."""
        return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"

    def line(self, text: str) -> None:
        """Print a plain line."""
        self.console.print(text, markup=False)

    def markup(self, lines: Iterable[str]) -> None:
        """Print lines of Rich markup."""
        for text in lines:
            self.console.print(text)

    def raw(self, text: str) -> None:
        """Print text for another program, untouched."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print an aligned table as kubectl does: no frame, nothing cut."""
        cells = [tuple(head), *(tuple(clean(cell) for cell in row) for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        for row in cells:
            self.line("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def error(self, message: str) -> None:
        """Say what went wrong."""
        self.errors.print(f"[red]error:[/] {escape(message)}")

    def problems(self, problems: Sequence[Problem]) -> None:
        """List every fault of an input: where, the rule, what was found, the fix."""
        for problem in problems:
            found = f"[dim](found {escape(problem.value)})[/]"
            self.errors.print(
                f"[bold]{escape(problem.path)}[/]: {escape(problem.rule)} {found}; {escape(problem.fix)}"
            )
        count = len(problems)
        self.errors.print(f"[red]{count} problem{'s' if count != 1 else ''}[/]")

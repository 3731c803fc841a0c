"""What a mutant is: one promise of the queue, taken out of its scripts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class MutantError(Exception):
    """A mutant does not fit the scripts, or nothing could be learnt from its run."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old`, once in the Lua file `script` (no suffix), becomes `new`; then `breaks` no longer holds."""

    name: str
    script: str
    old: str
    new: str
    breaks: str

    def apply(self, scripts: Path) -> None:
        """Change a file of the folder `scripts`.

        Raises:
            MutantError: the file is missing, or its text does not have `old` exactly once.
        """
        path = scripts / f"{self.script}.lua"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise MutantError(
                f"{self.name}: cannot read {path}: {error}; name a script that exists"
            ) from error
        found = text.count(self.old)
        if found != 1:
            raise MutantError(
                f"{self.name}: {self.old!r} must occur once in {path}, found {found} times; quote it anew"
            )
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")

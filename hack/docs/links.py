"""Checks the documents: relative links lead to files, and places written `file:name` exist.

Run as `.venv/bin/python -m hack.docs.links`; prints every fault, and fails when there is one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hack.docs.generated import ROOT

_FENCE: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_CODE: Final = re.compile(r"`[^`\n]*`")
_LINK: Final = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
_PLACE: Final = re.compile(r"`((?:operator|agent_image|hack|tests)/[\w/.-]+\.py):(\w+)`")
_PATH: Final = re.compile(
    r"`((?:operator|agent_image|hack|helm|examples|crds|docs|tests|requirements)/[\w/.-]+)`"
)


def documents() -> list[Path]:
    """List the repository's own Markdown pages."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    pages += [*ROOT.glob("examples/*/README.md"), *ROOT.glob("hack/*/README.md")]
    return sorted(pages)


def _defines(source: str, name: str) -> bool:
    return (
        re.search(rf"^\s*(?:async def|def|class) {name}\b|^{name}\b\s*[:=]", source, re.MULTILINE) is not None
    )


def faults(page: Path) -> Iterator[str]:
    """Yield what is wrong in one page."""
    text = _FENCE.sub("", page.read_text())
    for target in _LINK.findall(_CODE.sub("", text)):
        if not (page.parent / target).exists():
            yield f"link to {target}"
    for path, name in _PLACE.findall(text):
        file = ROOT / path
        if not file.is_file() or not _defines(file.read_text(), name):
            yield f"no {name} in {path}"
    for path in _PATH.findall(text):
        if not (ROOT / path).exists():
            yield f"no {path}"


def main() -> int:
    """Print all faults; return the exit code."""
    found = [f"{page.relative_to(ROOT)}: {fault}" for page in documents() for fault in faults(page)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

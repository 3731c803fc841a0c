"""Draws a transcript of a terminal as a picture: docs/images/terminal.txt → docs/images/terminal.svg.

The transcript is the recorded text of a real run; escape sequences for colour are kept.
Same text, same picture, byte for byte.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hack.docs.generated import ROOT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

IMAGES: Final = ROOT / "docs" / "images"
TITLE: Final = "make demo"
#: Narrowest and widest picture, in characters.
WIDTHS: Final = (60, 140)
_THEME: Final = TerminalTheme(
    (22, 27, 34),
    (201, 209, 217),
    [
        *((48, 54, 61), (255, 123, 114), (63, 185, 80), (210, 153, 34)),
        *((88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196)),
    ],
    [
        *((110, 118, 129), (255, 161, 152), (86, 211, 100), (227, 179, 65)),
        *((121, 192, 255), (210, 168, 255), (86, 212, 221), (240, 246, 252)),
    ],
)
#: Rich asks for a font from the network; a picture in a README cannot load one.
_FONT_FACE: Final = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def draw(transcript: str, title: str) -> str:
    """Render the transcript as SVG; lines beyond the widest picture are wrapped."""
    text = Text.from_ansi(transcript.rstrip("\n"))
    longest = max((line.cell_len for line in text.split("\n")), default=0)
    width = min(max(longest, WIDTHS[0]), WIDTHS[1])
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(text)
    return _FONT_FACE.sub("", console.export_svg(title=title, theme=_THEME, unique_id="terminal"))


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, or with --check compare; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hack.docs.terminal_picture", description=__doc__)
    parser.add_argument("--transcript", type=Path, default=IMAGES / "terminal.txt")
    parser.add_argument("--picture", type=Path, default=IMAGES / "terminal.svg")
    parser.add_argument("--title", default=TITLE)
    parser.add_argument(
        "--check", action="store_true", help="fail when the picture is not that of the transcript"
    )
    options = parser.parse_args(argv)
    if not options.transcript.is_file():
        print(
            f"{options.transcript}: must be a recorded text, such as of `make demo 2>&1 | tee FILE`",
            file=sys.stderr,
        )
        return 2
    picture = draw(options.transcript.read_text(), options.title)
    if options.check:
        same = options.picture.is_file() and options.picture.read_text() == picture
        if not same:
            print(f"{options.picture} is not the picture of {options.transcript}", file=sys.stderr)
        return 0 if same else 1
    options.picture.write_text(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())

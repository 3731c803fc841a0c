"""Reads YAML that strangers wrote: bounded in size, depth and aliases, and no key twice.

A 254-byte file of nested aliases grows to megabytes in a plain loader; a key given twice silently loses one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import yaml

from swarmrun.core.errors import Invalid, Problem
from swarmrun.core.words import shown

MAX_BYTES: Final = 128 * 1024
MAX_DEPTH: Final = 32
MAX_ALIASES: Final = 20
MAX_DOCUMENTS: Final = 50


def read_documents(file: str) -> list[Any]:
    """Read all YAML documents of a file, or of standard input for `-`.

    Raises:
        Invalid: the file cannot be read, breaks a bound, or is not YAML; paths are FILE:LINE.
    """
    try:
        raw = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else _read(Path(file))
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise _invalid(
            file, error.strerror or str(error), "must be a readable file", "check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise _invalid(file, f"byte {error.start}", "must be UTF-8 text", "save the file as UTF-8") from None
    if len(raw) > MAX_BYTES:
        raise _invalid(
            file, f"more than {MAX_BYTES} bytes", f"must have at most {MAX_BYTES} bytes", "split the file"
        )
    return parse_documents(text, file)


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def parse_documents(text: str, file: str = "-") -> list[Any]:
    """Parse YAML text; empty documents are left out. Raises like `read_documents`."""
    try:
        _check_events(text, file)
        loader = yaml.SafeLoader(text)
        try:
            documents = []
            problems: list[Problem] = []
            while loader.check_node():
                node = loader.get_node()
                _twice(node, file, problems)
                documents.append((loader, node))
            if problems:
                raise Invalid(problems[:50])
            values = [owner.construct_document(node) for owner, node in documents]
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        found = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise _invalid(
            where, shown(found), "must be valid YAML", "check indentation, quotes and colons"
        ) from None
    except (ValueError, OverflowError) as error:  # such as 2024-13-45, which YAML takes for a date
        raise _invalid(
            file, shown(str(error)), "must be valid YAML values", "put dates and times in quotes"
        ) from None
    return [value for value in values if value is not None]


def _check_events(text: str, file: str) -> None:
    """Walk the events, which takes no recursion, before anything is built from them."""
    depth = aliases = documents = 0
    open_anchors: list[str | None] = []
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        where = f"{file}:{event.start_mark.line + 1 if event.start_mark else 1}"
        if isinstance(event, yaml.CollectionStartEvent):
            open_anchors.append(event.anchor)
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            open_anchors.pop()
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
            if event.anchor in open_anchors:
                raise _invalid(where, f"*{event.anchor}", "must not refer to itself", "write the value out")
        if depth > MAX_DEPTH:
            raise _invalid(where, f"depth {depth}", f"must nest at most {MAX_DEPTH} levels", "flatten it")
        if aliases > MAX_ALIASES:
            raise _invalid(
                where, f"{aliases} aliases", f"must use at most {MAX_ALIASES} aliases", "write them out"
            )
        if documents > MAX_DOCUMENTS:
            raise _invalid(
                where, f"{documents} documents", f"must have at most {MAX_DOCUMENTS} documents", "split it"
            )


def _twice(node: Any, file: str, problems: list[Problem]) -> None:
    """Report keys that a map has twice. The depth is bounded, so recursion is safe."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _twice(child, file, problems)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[tuple[str, str], int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode):
            first = lines.get((key.tag, key.value))
            lines.setdefault((key.tag, key.value), line)
            if first is not None:
                problems.append(
                    Problem(
                        path=f"{file}:{line}",
                        value=shown(key.value),
                        rule=f"must not repeat a key; line {first} has it already",
                        fix="remove or rename one of the two",
                    )
                )
        _twice(value, file, problems)


def _invalid(path: str, value: str, rule: str, fix: str) -> Invalid:
    return Invalid([Problem(path=path, value=value, rule=rule, fix=fix)])

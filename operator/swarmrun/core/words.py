"""Names and texts: what may become a table, a file, an identifier or an id, and how to say what is wrong.

Reserved words: PostgreSQL's fully reserved key words (appendix C of its manual), ECMAScript's reserved words
including those of strict mode, and Python's `keyword.kwlist`.
"""

from __future__ import annotations

import difflib
import hashlib
import keyword
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final

SQL_RESERVED: Final = frozenset(
    {
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "current_catalog",
        "current_date",
        "current_role",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
        "grant",
        "group",
        "having",
        "in",
        "initially",
        "intersect",
        "into",
        "lateral",
        "leading",
        "limit",
        "localtime",
        "localtimestamp",
        "not",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "placing",
        "primary",
        "references",
        "returning",
        "select",
        "session_user",
        "some",
        "symmetric",
        "system_user",
        "table",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "when",
        "where",
        "window",
        "with",
    }
)
_ECMASCRIPT_RESERVED: Final = frozenset(
    {
        "arguments",
        "await",
        "break",
        "case",
        "catch",
        "class",
        "const",
        "continue",
        "debugger",
        "default",
        "delete",
        "do",
        "else",
        "enum",
        "eval",
        "export",
        "extends",
        "false",
        "finally",
        "for",
        "function",
        "if",
        "implements",
        "import",
        "in",
        "instanceof",
        "interface",
        "let",
        "new",
        "null",
        "package",
        "private",
        "protected",
        "public",
        "return",
        "static",
        "super",
        "switch",
        "this",
        "throw",
        "true",
        "try",
        "typeof",
        "undefined",
        "var",
        "void",
        "while",
        "with",
        "yield",
    }
)
#: Names that would break a table, a module or a variable of the built project.
RESERVED: Final = (
    SQL_RESERVED | _ECMASCRIPT_RESERVED | {word.lower() for word in (*keyword.kwlist, *keyword.softkwlist)}
)
_DROPPED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_IRREGULAR: Final = {
    "people": "person",
    "children": "child",
    "men": "man",
    "women": "woman",
    "mice": "mouse",
    "indices": "index",
    "matrices": "matrix",
    "vertices": "vertex",
    "series": "series",
    "species": "species",
    "news": "news",
    "movies": "movie",
    "cookies": "cookie",
}
NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known word most like `word`, or None."""
    found = difflib.get_close_matches(word[:100].lower(), sorted(set(known)), n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Word the fix: the nearest known name, or `otherwise`."""
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near else otherwise


def shown(value: Any) -> str:
    """Describe a found value on one line of ASCII, at most 80 characters. Safe for any depth of nesting."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = ascii(value[:200])
    elif isinstance(value, dict):
        keys = ", ".join(str(key)[:20] for key in list(value)[:3] if isinstance(key, str | int))
        text = ascii(f"a map of {len(value)} keys: {keys}" if keys else f"a map of {len(value)} keys")[1:-1]
    elif isinstance(value, list | tuple):
        text = f"a list of {len(value)}"
    else:
        text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 — the width promised above


def clean(text: str, *, lines: bool = False) -> str:
    """Drop control, format and unassigned characters; collapse blanks, unless `lines` keeps the line breaks.

    Escape sequences, bidi controls and zero-width characters of a specification thereby never reach a
    terminal, a commit subject or a prompt's structure.
    """
    kept = "".join(
        " " if ch in "\n\t\r" and not lines else ch
        for ch in unicodedata.normalize("NFC", text)
        if ch in "\n\t\r" or unicodedata.category(ch) not in _DROPPED_CATEGORIES
    )
    return kept.strip() if lines else " ".join(kept.split())


def snake(text: str) -> str:
    """Turn any spelling into snake_case: `orderItems` and `Order items` become `order_items`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def slug(text: str, *, limit: int = 48) -> str:
    """Turn a text into lower-case ASCII words joined by hyphens, cut at a word's end; never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain.lower())
    out = ""
    for word in words:
        longer = f"{out}-{word}" if out else word[:limit]
        if len(longer) > limit:
            break
        out = longer
    return out or short_hash(text)


def short_hash(text: str) -> str:
    """Six hex digits that tell two texts apart."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]


def singular(noun: str) -> str:
    """Return the singular of an English plural in snake_case; only the last word changes."""
    head, _, last = noun.rpartition("_")
    prefix = f"{head}_" if head else ""
    if last in _IRREGULAR:
        return prefix + _IRREGULAR[last]
    if last.endswith("ies") and len(last) > len("ties"):
        return f"{prefix}{last[:-3]}y"
    if re.search(r"(ss|sh|ch|x|zz|us)es$", last):
        return prefix + last[:-2]
    if last.endswith("s") and not re.search(r"(ss|us|is)$", last) and len(last) > 1:
        return prefix + last[:-1]
    return noun


def name_fault(name: str, *, longest: int, reserved: frozenset[str], example: str) -> tuple[str, str] | None:
    """Return (rule, fix) when `name` cannot be a name in the built project, or None."""
    if not NAME.fullmatch(name):
        better = snake(unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode())
        fix = better if NAME.fullmatch(better) and better not in reserved else example
        return "must be lower-case ASCII letters, digits and single underscores, starting with a letter", (
            f"write {fix[:longest]}"
        )
    if len(name) > longest:
        return f"must have at most {longest} characters", "choose a shorter name"
    if name in reserved:
        return (
            "must not be a reserved word of SQL, TypeScript or Python",
            f"choose another name, such as {example}",
        )
    return None

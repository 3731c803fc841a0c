"""Understand validation sentences such as 'name must be 2-50 characters'."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_N = r"(\d+(?:\.\d+)?)"
_MODAL = re.compile(
    r"\s+(?:must|should|shall|has to|needs to|cannot|can not|may not|is|are)\b", re.IGNORECASE
)

#: Formats by a word in the sentence or in the field's name.
_FORMATS = (
    ("email", r"e-?mail"),
    ("url", r"\burl\b|_url$|^url$|website|\blink\b"),
    ("color", r"hex|colou?r"),
    ("phone", r"phone|mobile"),
    ("isbn", r"isbn"),
    ("slug", r"\bslug\b"),
)


@dataclass(frozen=True)
class Rule:
    """Limits of one field; None where nothing is said."""

    min_length: int | None = None
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    format: str = ""
    choices: tuple[str, ...] = ()


def _format_of(field: str, sentence: str) -> str:
    if not re.search(r"valid|format|hex|colou?r code", sentence):
        return ""
    for name, pattern in _FORMATS:
        if re.search(pattern, sentence) or re.search(pattern, field):
            return name
    return ""


_UNIT = r"\s*(?:characters|chars|letters|digits)"
_RANGE = r"(?:between\s+)?(-?\d+(?:\.\d+)?)\s*(?:-|to|and|\u2013)\s*(\d+(?:\.\d+)?)"
_LEAST = r"(?:at least|min(?:imum)?(?: of)?|longer than|>=|\u2265)\s*"
_MOST = r"(?:at most|up to|max(?:imum)?(?: of)?|no more than|under|fewer than|less than|exceed|<=|\u2264)\s*"

#: Sentences about length: pattern, and which of its groups are the least and the greatest length.
_LENGTHS = (
    (rf"{_RANGE}{_UNIT}", 1, 2),
    (rf"exactly\s+{_N}{_UNIT}", 1, 1),
    (rf"{_N}\s*\+{_UNIT}", 1, None),
    (rf"{_LEAST}{_N}{_UNIT}", 1, None),
    (rf"{_MOST}{_N}{_UNIT}", None, 1),
)
#: The same for numbers.
_BOUNDS = (
    (_RANGE, 1, 2),
    (rf"{_LEAST}{_N}", 1, None),
    (rf"\b{_N}\s*\+", 1, None),
    (rf"{_MOST}{_N}", None, 1),
)
_ABOVE = re.compile(rf"(?:greater than|more than|above|over|>)\s*{_N}")


def _limits(
    text: str, table: tuple[tuple[str, int | None, int | None], ...]
) -> tuple[float | None, float | None] | None:
    """Give (least, greatest) of the first sentence form that fits."""
    for pattern, least, greatest in table:
        if found := re.search(pattern, text):
            return (
                float(found[least]) if least else None,
                float(found[greatest]) if greatest else None,
            )
    return None


def _lengths(text: str, rule: Rule) -> Rule:
    if limits := _limits(text, _LENGTHS):
        low, high = limits
        return replace(
            rule,
            min_length=rule.min_length if low is None else int(low),
            max_length=rule.max_length if high is None else int(high),
        )
    if re.search(r"not be (?:empty|blank)|non-?empty", text):
        return replace(rule, min_length=max(1, rule.min_length or 1))
    return rule


def _bounds(text: str, rule: Rule) -> Rule:
    if re.search(_UNIT, text):
        return rule
    if limits := _limits(text, _BOUNDS):
        low, high = limits
        return replace(
            rule,
            minimum=rule.minimum if low is None else low,
            maximum=rule.maximum if high is None else high,
        )
    if re.search(r"non-?negative|not be negative", text):
        return replace(rule, minimum=0)
    if found := _ABOVE.search(text):
        return replace(rule, minimum=float(found[1]) + 1)
    return replace(rule, minimum=1) if re.search(r"\bpositive\b", text) else rule


def _choices(text: str, rule: Rule) -> Rule:
    found = re.search(r"one of:?\s*[\[(]?([^\])]+)", text)
    if not found:
        return rule
    parts = [p.strip(" '\"`.") for p in re.split(r",|/|\||\bor\b", found[1])]
    return replace(rule, choices=tuple(p for p in parts if p))


def _subject(sentence: str) -> str:
    head = _MODAL.split(sentence, maxsplit=1)[0]
    return re.sub(r"[^a-z0-9]+", "_", head.lower()).strip("_")


def _same_field(field: str, subject: str) -> bool:
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field).lower()
    return subject == plain or (plain.startswith("password") and subject == "password")


def rule_for(field: str, validations: Iterable[str]) -> Rule:
    """Collect what the sentences say of `field`; sentences about other things are skipped."""
    rule = Rule()
    for sentence in validations:
        if not _same_field(field, _subject(sentence)):
            continue
        text = sentence.lower()
        rule = _choices(sentence, _bounds(text, _lengths(text, rule)))
        rule = replace(rule, format=_format_of(field.lower(), text) or rule.format)
    return rule

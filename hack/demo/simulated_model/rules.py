"""Understand validation sentences such as 'name must be 2-50 characters'."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_N = r"(\d+(?:\.\d+)?)"
_MODAL = re.compile(r"\s+(?:must|should|shall|has to|needs to|cannot|can not|may not|is|are)\b", re.IGNORECASE)

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


def _lengths(text: str, rule: Rule) -> Rule:
    if found := re.search(rf"(?:between\s+)?{_N}\s*(?:-|to|and|\u2013)\s*{_N}\s*(?:characters|chars|letters)", text):
        return replace(rule, min_length=int(float(found[1])), max_length=int(float(found[2])))
    if found := re.search(rf"(?:exactly\s+){_N}\s*(?:characters|chars|letters|digits)", text):
        return replace(rule, min_length=int(float(found[1])), max_length=int(float(found[1])))
    if found := re.search(rf"{_N}\s*\+\s*(?:characters|chars|letters)", text):
        return replace(rule, min_length=int(float(found[1])))
    if found := re.search(rf"(?:at least|min(?:imum)?(?: of)?|longer than)\s*{_N}\s*(?:characters|chars|letters)", text):
        return replace(rule, min_length=int(float(found[1])))
    if found := re.search(
        rf"(?:at most|up to|max(?:imum)?(?: of)?|no more than|under|fewer than|less than|exceed)\s*{_N}\s*(?:characters|chars|letters)",
        text,
    ):
        return replace(rule, max_length=int(float(found[1])))
    if re.search(r"not be (?:empty|blank)|non-?empty", text):
        return replace(rule, min_length=max(1, rule.min_length or 1))
    return rule


def _bounds(text: str, rule: Rule) -> Rule:
    if re.search(r"characters|chars|letters|digits", text):
        return rule
    if found := re.search(rf"(?:between\s+)?(-?\d+(?:\.\d+)?)\s*(?:-|to|and|\u2013)\s*{_N}", text):
        return replace(rule, minimum=float(found[1]), maximum=float(found[2]))
    if re.search(r"non-?negative|not be negative", text):
        return replace(rule, minimum=0)
    if re.search(r"\bpositive\b", text):
        return replace(rule, minimum=1)
    if found := re.search(rf"(?:at least|min(?:imum)?(?: of)?|>=|\u2265)\s*{_N}|\b{_N}\s*\+", text):
        return replace(rule, minimum=float(found[1] or found[2]))
    if found := re.search(rf"(?:greater than|more than|above|over|>)\s*{_N}", text):
        return replace(rule, minimum=float(found[1]) + 1)
    if found := re.search(rf"(?:at most|up to|max(?:imum)?(?: of)?|no more than|<=|\u2264|exceed)\s*{_N}", text):
        return replace(rule, maximum=float(found[1]))
    return rule


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

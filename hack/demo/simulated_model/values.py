"""Valid and invalid example values of a column, as TypeScript expressions."""

from __future__ import annotations

from dataclasses import dataclass

from simulated_model.model import Column, Role
from simulated_model.text import quoted, words

_DEFAULT_MAX = {"string": 255, "text": 10_000}
PASSWORD_MAX = 72  # bcrypt ignores what follows
PASSWORD = "correct horse battery"  # noqa: S105 — an example in generated tests

#: `{n}` makes a text unique; what tests send and what factories insert must never be equal by chance.
_FORMAT_SAMPLES = {
    "email": "new{n}@example.com",
    "url": "https://example.com/new-{n}",
    "slug": "new-{n}",
}
_FORMAT_ROWS = {
    "email": "person{n}@example.com",
    "url": "https://example.com/page-{n}",
    "slug": "page-{n}",
}


@dataclass(frozen=True)
class Bad:
    """A value that must be refused, and why."""

    why: str
    literal: str


def max_length(column: Column) -> int:
    """Longest text that the column takes."""
    if column.role is Role.PASSWORD:
        return PASSWORD_MAX
    return column.rule.max_length or _DEFAULT_MAX.get(column.type, 255)


def min_length(column: Column) -> int:
    """Shortest text that the column takes: at least one character when it is required."""
    if column.role is Role.PASSWORD:
        return column.rule.min_length or 8
    return column.rule.min_length if column.rule.min_length is not None else int(column.required)


def _fit(text: str, column: Column) -> str:
    padded = text.ljust(min_length(column), "x")
    return padded[: max_length(column)]


def _text(column: Column, n: str) -> str:
    """A valid text; `n` is a number or a template expression that makes it unique."""
    if column.rule.format == "color":
        return "#1a2b3c"
    if column.rule.format == "phone":
        return "+49301234567"
    if column.rule.format in _FORMAT_SAMPLES:
        return _FORMAT_SAMPLES[column.rule.format].replace("{n}", n)
    return _fit(f"New {words(column.name)} {n}", column)


def _number(column: Column, offset: int) -> float:
    low, high = column.rule.minimum, column.rule.maximum
    start = low if low is not None else (min(1, high) if high is not None else 1)
    value = start + offset
    return start if high is not None and value > high else value


def _literal_number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _sample_number(column: Column, variant: int) -> str:
    half = 0.5 if column.type == "number" and column.rule.maximum is None else 0
    return _literal_number(_number(column, variant) + half)


def _plain_samples(variant: int) -> dict[str, str]:
    digit = variant % 10
    return {
        "boolean": "true" if variant % 2 == 0 else "false",
        "timestamp": quoted(f"203{digit}-01-02T03:04:05.000Z"),
        "date": quoted(f"203{digit}-01-02"),
        "json": f"{{ key: {quoted(f'value {variant}')} }}",
        "uuid": quoted(f"00000000-0000-4000-8000-00000000000{digit}"),
    }


def sample(column: Column, variant: int = 0) -> str:
    """A valid value as a literal; other variants give other values where the column allows it."""
    if column.choices:
        return quoted(column.choices[variant % len(column.choices)])
    if column.type in {"integer", "number"}:
        return _sample_number(column, variant)
    return _plain_samples(variant).get(column.type) or _sample_text(column, variant)


def _sample_text(column: Column, variant: int) -> str:
    if column.rule.format == "isbn":
        return quoted(f"979000000000{variant % 10}")
    if column.rule.format == "color" and variant:
        return quoted("#c0ffee")
    if column.rule.format == "phone" and variant:
        return quoted("+4930765432")
    if column.role is Role.PASSWORD:
        return quoted(_fit(f"{PASSWORD}{variant}" if variant else PASSWORD, column))
    return quoted(_text(column, str(variant + 1)))


_UNIQUE_FORMATS = {
    "isbn": "String(9_780_000_000_000 + count)",
    "color": '`#${(count % 0xff_ff_ff).toString(16).padStart(6, "0")}`',
    "phone": "`+4930${1_000_000 + count}`",
}


def unique_sample(column: Column) -> str:
    """A valid value as an expression over the counter `count`, so that rows differ."""
    if column.choices:
        return sample(column)
    if column.type in {"string", "text"}:
        return _UNIQUE_FORMATS.get(column.rule.format) or _unique_text(column)
    if column.unique and column.type in {"integer", "number"}:
        return "count" if column.rule.maximum is not None else "1000 + count"
    return sample(column)


def _unique_text(column: Column) -> str:
    if column.rule.format in _FORMAT_ROWS:
        return "`" + _FORMAT_ROWS[column.rule.format].replace("{n}", "${count}") + "`"
    prefix = f"{words(column.name).capitalize()} "
    longest, shortest = max_length(column), min_length(column)
    if longest < len(prefix) + 6:
        return f'String(count).padStart({max(shortest, 1)}, "a")'
    padded = f"`{prefix}${{count}}`"
    return padded if shortest <= len(prefix) + 1 else f'{padded}.padEnd({shortest}, "x")'


def _bad_text(column: Column) -> list[Bad]:
    bad = [Bad("a number", "5")]
    low, high = min_length(column), max_length(column)
    if low > 0 and not column.rule.format:
        bad.append(Bad(f"shorter than {low} characters", quoted("x" * (low - 1))))
    if not column.rule.format:
        bad.append(Bad(f"longer than {high} characters", f'"x".repeat({high + 1})'))
    if column.rule.format and not column.choices:
        bad.append(Bad("malformed", quoted("not a valid value")))
    return bad


def _bad_number(column: Column) -> list[Bad]:
    bad = [Bad("text", quoted("many"))]
    if column.type == "integer":
        bad.append(Bad("not an integer", "1.25"))
    if column.rule.minimum is not None:
        bad.append(Bad("too small", _literal_number(column.rule.minimum - 1)))
    if column.rule.maximum is not None:
        bad.append(Bad("too large", _literal_number(column.rule.maximum + 1)))
    return bad


_BAD = {
    "boolean": Bad("text", quoted("maybe")),
    "timestamp": Bad("not a timestamp", quoted("yesterday")),
    "date": Bad("not a date", quoted("2030-02-31")),
    "json": Bad("not an object", "5"),
    "uuid": Bad("not a UUID", quoted("nonsense")),
}


def bad_values(column: Column) -> list[Bad]:
    """Values that the API must answer with 400."""
    if column.choices:
        return [Bad("not among the choices", quoted("no such choice"))]
    if column.type in {"integer", "number"}:
        return _bad_number(column)
    return [_BAD[column.type]] if column.type in _BAD else _bad_text(column)

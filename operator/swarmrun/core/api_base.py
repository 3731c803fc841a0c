"""What all parts of the API's models share: names and limits, the base of every part, types with rules.

Messages of rules say "must …" and name the allowed values, as Kubernetes' API conventions ask.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from swarmrun.core.money import parse_usd

GROUP: Final = "swarmrun.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
#: Longest run name: child names add up to nine characters and must stay DNS labels (RFC 1123).
MAX_NAME: Final = 40
#: Largest spec as JSON. etcd takes more, but every watcher and annotation has to carry it.
MAX_SPEC_BYTES: Final = 128 * 1024

USD_PATTERN: Final = r"^(0|[1-9][0-9]{0,6})(\.[0-9]{1,6})?$"
#: https, ssh, scp form, or plain http to a Service inside the cluster; no user:password, no options, no
#: helpers.
URL_PATTERN: Final = (
    r"^(https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/[A-Za-z0-9._~/-]+"
    r"|ssh://([A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/[A-Za-z0-9._~/-]+"
    r"|[A-Za-z0-9._-]+@[A-Za-z0-9][A-Za-z0-9.-]*:[A-Za-z0-9._~/][A-Za-z0-9._~/-]*"
    r"|http://[a-z0-9][a-z0-9.-]*\.svc(\.cluster\.local)?(:[0-9]{1,5})?/[A-Za-z0-9._~/-]+)$"
)
BASE_URL_PATTERN: Final = r"^https?://[^ \t\r\n@?#]+[^ \t\r\n@?#/]$"
BRANCH_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9._/-]*$"
MODEL_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"
NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
KEY_PATTERN: Final = r"^[-._a-zA-Z0-9]+$"


def rule(expression: str, message: str, **more: str) -> dict[str, str]:
    """Write one CEL validation rule of the CRD."""
    return {"rule": expression, "message": message, **more}


def with_rules(*rules: dict[str, str]) -> dict[str, Any]:
    """Attach CEL rules to a schema node."""
    return {"x-kubernetes-validations": list(rules)}


def explained(pattern: str, message: str, *rules: dict[str, str]) -> Callable[[dict[str, Any]], None]:
    """Turn a field's pattern into a CEL rule: the API server's own error only quotes the expression."""

    def extra(schema: dict[str, Any]) -> None:
        schema.pop("pattern", None)
        expression = f"self.matches({json.dumps(pattern)})"
        schema.update(with_rules(rule(expression, message), *rules))

    return extra


def _is_usd(operand: str) -> str:
    return f"string({operand}).matches({json.dumps(USD_PATTERN)})"


class Spec(BaseModel):
    """Base of everything a person writes: camelCase, unknown keys refused, docstrings are descriptions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


_USD_MESSAGE: Final = 'must be a decimal number of US dollars with at most 6 decimals, such as "150.00" or 25'


def _usd(value: int | str) -> int | str:
    # Decimal reads more than the CRD does, such as "1e3".
    if re.fullmatch(USD_PATTERN, str(value)) is None:
        raise ValueError(_USD_MESSAGE)
    return value


def _positive_usd(value: int | str) -> int | str:
    if parse_usd(_usd(value)) <= 0:
        raise ValueError('must be greater than 0, such as "150.00"')
    return value


ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME_PATTERN)]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=KEY_PATTERN)]
ModelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=MODEL_PATTERN,
        json_schema_extra=explained(
            MODEL_PATTERN, "must be a model name of letters, digits and . _ : / @ -, such as gpt-4-turbo"
        ),
    ),
]
Usd = Annotated[
    int | str,
    AfterValidator(_usd),
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "maxLength": 14,
            **with_rules(rule(_is_usd("self"), _USD_MESSAGE)),
        }
    ),
]
PositiveUsd = Annotated[
    int | str,
    AfterValidator(_positive_usd),
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "maxLength": 14,
            **with_rules(
                rule(_is_usd("self"), _USD_MESSAGE),
                rule(
                    "!string(self).matches('^-?[0.]*$')",
                    'must be greater than 0, such as "150.00"; suspend the run to stop spending',
                ),
            ),
        }
    ),
]


class SecretKeyRef(Spec):
    """A key of a Secret in the run's own namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey = "api-key"
    """Key within the Secret."""


class SecretRef(Spec):
    """A Secret in the run's own namespace."""

    name: ObjectName
    """Name of the Secret."""


class ConfigMapKeyRef(Spec):
    """A key of a ConfigMap in the run's own namespace."""

    name: ObjectName
    """Name of the ConfigMap."""
    key: SecretKey = "project.yaml"
    """Key within the ConfigMap."""

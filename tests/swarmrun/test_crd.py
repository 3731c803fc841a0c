"""The CRDs are what the Kubernetes API conventions ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from swarmrun.core.crd import relied_fields, swarmescalation_crd, swarmrun_crd

Json = dict[str, Any]
CRDS = [swarmrun_crd(), swarmescalation_crd()]


def schema_of(crd: Json) -> Json:
    schema: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def walk(node: Json, path: str) -> Iterator[tuple[str, Json]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if isinstance(node.get("items"), dict):
        yield from walk(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from walk(node["additionalProperties"], f"{path}.*")


def fields() -> Iterator[tuple[str, Json]]:
    for crd in CRDS:
        for part in ("spec", "status"):
            yield from walk(schema_of(crd)["properties"][part], f"{crd['spec']['names']['kind']}.{part}")


@pytest.mark.parametrize(("path", "node"), list(fields()), ids=lambda v: v if isinstance(v, str) else "")
def test_every_field_is_described_and_bounded(path: str, node: Json) -> None:
    if not path.endswith(("[]", ".*")):
        assert node.get("description"), f"{path} has no description"
    kind = node.get("type")
    assert kind != "number", f"{path} is a float"
    if kind == "string" and "enum" not in node:
        assert "maxLength" in node, f"{path} has no maxLength"
    if kind == "array":
        assert "maxItems" in node, f"{path} has no maxItems"
    if kind == "integer":
        assert "minimum" in node, f"{path} has no minimum"
    if isinstance(node.get("additionalProperties"), dict):
        assert "maxProperties" in node, f"{path} has no maxProperties"


@pytest.mark.parametrize("crd", CRDS, ids=lambda c: c["spec"]["names"]["kind"])
def test_the_schema_has_no_reference_and_no_union(crd: Json) -> None:
    text = str(schema_of(crd))
    assert "$ref" not in text
    assert "'anyOf'" not in text
    assert "'title'" not in text.replace("'title': {", "")


def test_columns_have_no_spaces_and_end_with_age() -> None:
    names = [c["name"] for c in swarmrun_crd()["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert names == [
        "Phase",
        "Reason",
        "Progress",
        "Cost",
        "Agents",
        "Message",
        "Budget",
        "Tests",
        "ETA",
        "Age",
    ]


def test_the_served_schema_lists_every_field_the_operator_relies_on() -> None:
    found = relied_fields(schema_of(swarmrun_crd()))
    assert {
        "spec.budget.maxCostUSD",
        "spec.project",
        "status.queueEpoch",
        "status.conditions[].reason",
    } <= found

"""Turns the API models into CustomResourceDefinitions with structural schemas.

Pydantic emits JSON Schema 2020-12; apiextensions/v1 takes a structural subset of OpenAPI 3.0: no $ref, no
anyOf with null, no titles, no additionalProperties beside properties. Source: Kubernetes documentation,
"Specifying a structural schema".
"""

from __future__ import annotations

import copy
from typing import Any, Final

from pydantic import BaseModel

from swarmrun.core.api import SwarmEscalationSpec, SwarmRunSpec
from swarmrun.core.api_base import GROUP, MAX_NAME, VERSION, rule
from swarmrun.core.status import SwarmEscalationStatus, SwarmRunStatus

Json = dict[str, Any]

_DROP: Final = frozenset({"title", "$defs", "propertyNames", "const", "discriminator"})


def structural(model: type[BaseModel]) -> Json:
    """Return the structural schema of a model."""
    schema = model.model_json_schema(by_alias=True)
    return _convert(schema, schema.get("$defs", {}))


def _convert(node: Json, definitions: Json) -> Json:
    if "$ref" in node:
        # A copy for each place, else YAML would write aliases.
        target = copy.deepcopy(definitions[node["$ref"].rsplit("/", 1)[1]])
        own = {k: v for k, v in node.items() if k != "$ref"}
        return _convert({**target, **own}, definitions)
    if "anyOf" in node:
        return _convert(_without_null(node), definitions)
    out = {key: value for key, value in node.items() if key not in _DROP}
    if "const" in node:
        out["enum"] = [node["const"]]
    if out.get("default", ...) in (None, [], {}):
        del out["default"]
    if "properties" in out:
        out["properties"] = {k: _convert(v, definitions) for k, v in out["properties"].items()}
        out.pop("additionalProperties", None)
    elif isinstance(out.get("additionalProperties"), dict):
        out["additionalProperties"] = _convert(out["additionalProperties"], definitions)
        _bound_map(out)
    elif out.get("additionalProperties") is True:
        del out["additionalProperties"]
    _convert_items(out, definitions)
    if out.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
    if "description" in out:
        out["description"] = " ".join(str(out["description"]).split())
    return out


def _convert_items(node: Json, definitions: Json) -> None:
    if isinstance(node.get("items"), dict):
        node["items"] = _convert(node["items"], definitions)


def _without_null(node: Json) -> Json:
    """Reduce `X | None` to X, and int-or-string to its extension; the field is optional anyway."""
    rest = {k: v for k, v in node.items() if k != "anyOf"}
    options = [o for o in node["anyOf"] if o.get("type") != "null"]
    if len(options) == 1:
        return {**options[0], **rest}
    if {o.get("type") for o in options} == {"integer", "string"}:
        strings: Json = next((o for o in options if o.get("type") == "string"), {})
        return {
            **{k: v for k, v in strings.items() if k != "type"},
            **rest,
            "x-kubernetes-int-or-string": True,
        }
    raise TypeError(f"no structural form for anyOf {node['anyOf']!r}")


def _bound_map(node: Json) -> None:
    """`max_length` of a dict arrives as maxProperties; a map needs it for the CEL cost estimate."""
    node.setdefault("maxProperties", 64)


def _column(name: str, path: str, description: str, *, kind: str = "string", wide: bool = False) -> Json:
    column: Json = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**column, "priority": 1} if wide else column


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


RUN_COLUMNS: Final = (
    _column("Phase", ".status.phase", "Summary of where the run stands"),
    _column("Reason", _ready("reason"), "Why it stands there"),
    _column("Progress", ".status.progress", "Completed tasks of all tasks"),
    _column("Cost", ".status.cost.spentUSD", "Spent US dollars"),
    _column("Agents", ".status.agents.ready", "Ready agents", kind="integer"),
    _column("Message", _ready("message"), "Why, for people", wide=True),
    _column("Budget", ".status.cost.limitUSD", "Budget in US dollars", wide=True),
    _column("Tests", ".status.tests.summary", "Passing tests of all tests", wide=True),
    _column("ETA", ".status.eta", "Time left at the present pace", wide=True),
    _column("Age", ".metadata.creationTimestamp", "Time since creation", kind="date"),
)

ESCALATION_COLUMNS: Final = (
    _column("Run", ".spec.runName", "SwarmRun it belongs to"),
    _column("Task", ".spec.taskId", "Blocked task"),
    _column("Reason", ".spec.reason", "Why it is blocked"),
    _column("State", ".status.state", "Open or Resolved"),
    _column("Age", ".metadata.creationTimestamp", "Time since creation", kind="date"),
)


def _crd(
    kind: str,
    plural: str,
    short: str,
    *,
    version: Json,
    description: str,
    spec: Json,
    status: Json,
    rules: list[Json],
) -> Json:
    schema: Json = {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {
                "type": "string",
                "maxLength": 64,
                "description": "Version of this object's schema.",
            },
            "kind": {"type": "string", "maxLength": 64, "description": "Kind of this object."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": {**status, "default": {"observedGeneration": -1}},
        },
        "x-kubernetes-validations": rules,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/name": "swarmrun"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["all", "swarm"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    **version,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def swarmrun_crd() -> Json:
    """Build the CRD of SwarmRun."""
    scale = {
        "specReplicasPath": ".spec.numAgents",
        "statusReplicasPath": ".status.agents.ready",
        "labelSelectorPath": ".status.selector",
    }
    return _crd(
        "SwarmRun",
        "swarmruns",
        "swr",
        version={
            "subresources": {"status": {}, "scale": scale},
            "additionalPrinterColumns": list(RUN_COLUMNS),
            "selectableFields": [{"jsonPath": ".status.phase"}, {"jsonPath": ".spec.suspend"}],
        },
        description="SwarmRun lets a swarm of LLM coding agents build the project it specifies, in a git repository, inside a budget.",
        spec=structural(SwarmRunSpec),
        status=structural(SwarmRunStatus),
        rules=[
            rule(
                f"size(self.metadata.name) <= {MAX_NAME} && !self.metadata.name.contains('.')",
                f"must have a metadata.name of at most {MAX_NAME} characters without dots; names of its objects derive from it",
            )
        ],
    )


def swarmescalation_crd() -> Json:
    """Build the CRD of SwarmEscalation."""
    return _crd(
        "SwarmEscalation",
        "swarmescalations",
        "swe",
        version={"subresources": {"status": {}}, "additionalPrinterColumns": list(ESCALATION_COLUMNS)},
        description="SwarmEscalation is a task that needs a person. Patch spec.resolution to answer it.",
        spec=structural(SwarmEscalationSpec),
        status=structural(SwarmEscalationStatus),
        rules=[],
    )


def relied_fields(schema: Json, prefix: str = "") -> set[str]:
    """List every property path of a schema, such as spec.budget.maxCostUSD: all must be served."""
    found: set[str] = set()
    for name, child in schema.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        found.add(path)
        found |= relied_fields(child, path)
    if isinstance(schema.get("items"), dict):
        found |= relied_fields(schema["items"], f"{prefix}[]")
    return found

"""Renders docs/reference/crd.md: every field of both resources, from the models that also make the CRDs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from hack.docs.generated import cell, note, write_or_compare

from swarmrun.core.crd import swarmescalation_crd, swarmrun_crd

Json = dict[str, Any]
PAGE: Final = "docs/reference/crd.md"

_INTRO: Final = """# Resources

Fields of `SwarmRun` and `SwarmEscalation`, `swarmrun.dev/v1alpha1`. The same text is in the cluster:
`kubectl explain swarmrun.spec`. A field in **bold** is required where its parent is given.
`kubectl apply --dry-run=server -f swarmrun.yaml` judges a manifest without creating anything.
"""


def _yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _type(node: Json) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return "integer or string"
    kind = node.get("type", "object")
    if kind == "array":
        return f"list of {_type(node['items'])}"
    if kind == "object" and "additionalProperties" in node:
        return f"map to {_type(node['additionalProperties'])}"
    return str(kind)


def _bounds(node: Json) -> Iterator[str]:
    """Yield the limits that a person may run into."""
    if "enum" in node:
        yield "one of " + ", ".join(f"`{value}`" for value in node["enum"])
    if "minimum" in node or "maximum" in node:
        low, high = node.get("minimum"), node.get("maximum")
        if low is None or high is None:
            yield f"≥ {low}" if high is None else f"≤ {high}"
        else:
            yield f"{low} to {high}"
    if "maxLength" in node:
        yield f"at most {node['maxLength']} characters"
    if "maxItems" in node:
        yield f"at most {node['maxItems']} items"
    if "maxProperties" in node:
        yield f"at most {node['maxProperties']} keys"
    if "pattern" in node:
        yield f"matches `{node['pattern']}`"
    if "default" in node:
        yield f"default `{_yaml(node['default'])}`" if node["default"] != "" else "default empty"


def _fields(node: Json, prefix: str) -> Iterator[tuple[str, bool, Json]]:
    required = set(node.get("required", []))
    for name, child in node.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        yield path, name in required, child
        inner = child["items"] if child.get("type") == "array" else child
        yield from _fields(inner, f"{path}[]" if child.get("type") == "array" else path)


def _rules(node: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yield (path, message) of every CEL rule; a rule may point at a field of its node."""
    for rule in node.get("x-kubernetes-validations", []):
        yield f"{path}{rule.get('fieldPath', '')}", rule["message"]
    for name, child in node.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}" if path else name)
    if isinstance(node.get("items"), dict):
        yield from _rules(node["items"], f"{path}[]")


def _table(node: Json, prefix: str) -> str:
    lines = ["| field | type | meaning | bounds |", "|---|---|---|---|"]
    for path, required, child in _fields(node, prefix):
        name = f"**`{path}`**" if required else f"`{path}`"
        bounds = cell("; ".join(_bounds(child)))
        lines.append(f"| {name} | {_type(child)} | {cell(child.get('description', ''))} | {bounds} |")
    return "\n".join(lines) + "\n"


def _kind(crd: Json) -> str:
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema, short = version["schema"]["openAPIV3Schema"], names["shortNames"][0]
    columns = [
        c["name"] + (" (wide)" if c.get("priority") else "") for c in version["additionalPrinterColumns"]
    ]
    categories, subresources = (
        ", ".join(f"`{word}`" for word in words) for words in (names["categories"], version["subresources"])
    )
    parts = [
        f"## {names['kind']}\n",
        schema["description"] + "\n",
        f"Plural `{names['plural']}`, short `{short}`.\n",
        f"Categories: {categories}. Subresources: {subresources}.\n",
        f"Columns of `kubectl get {short}`: {', '.join(columns)}.\n",
        "### Spec\n",
        _table(schema["properties"]["spec"], "spec"),
    ]
    if rules := list(_rules(schema, "")):
        listed = [f"- `{path or 'metadata.name'}` {cell(message)}" for path, message in rules]
        parts += [
            "### Rules of admission\n",
            "The API server refuses a manifest that breaks one of these, with this message.\n",
            "\n".join(listed) + "\n",
        ]
    parts += ["### Status\n", _table(schema["properties"]["status"], "status")]
    return "\n".join(parts)


def page() -> str:
    """Render the page."""
    kinds = [_kind(crd) for crd in (swarmrun_crd(), swarmescalation_crd())]
    return note("operator/swarmrun/core/api.py and status.py") + _INTRO + "\n" + "\n".join(kinds)


if __name__ == "__main__":
    sys.exit(write_or_compare({PAGE: page()}, check="--check" in sys.argv))

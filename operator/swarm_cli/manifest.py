"""Finds the runs that a file describes, and every fault in them; nothing here talks to a cluster."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from swarm_cli.yamlfile import parse_documents, read_documents
from swarmrun import profiles
from swarmrun.core import api_provider
from swarmrun.core.api import SwarmRunSpec
from swarmrun.core.api_base import API_VERSION, MAX_NAME, USD_PATTERN
from swarmrun.core.crd import structural
from swarmrun.core.errors import Invalid, Problem
from swarmrun.core.plan import Plan, build_plan
from swarmrun.core.project import Project, parse_project
from swarmrun.core.words import did_you_mean, nearest, shown
from swarmrun.specmodels import models_of, provider_of

_PROJECT_KEYS: Final = {"project_name", "resources", "architecture"}
#: Pydantic's error types in the words of this product.
_RULES: Final = {
    "missing": "must be set",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "list_type": "must be a list",
    "dict_type": "must be a map",
    "model_type": "must be a map",
    "extra_forbidden": "must be a known field",
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One run as written; `spec` is None for a bare project, `root` starts the project's paths."""

    name: str
    root: str
    project: Any
    spec: SwarmRunSpec | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """One run with its project and plan."""

    manifest: Manifest
    project: Project
    plan: Plan


def load(file: str) -> list[Manifest]:
    """Read a file's SwarmRuns and bare project specifications; other objects are passed over.

    Raises:
        Invalid: the file is not readable YAML, or has none of them.
    """
    documents = read_documents(file)
    maps = [d for d in documents if isinstance(d, dict)]
    found = []
    for document in maps:
        if document.get("kind") == "SwarmRun":
            found.append(_run(document, maps))
        elif "kind" not in document and _PROJECT_KEYS & document.keys():
            found.append(_bare(document))
    if not found:
        kinds = ", ".join(str(d.get("kind", "?")) for d in maps) or "nothing"
        fix = f"start it with 'apiVersion: {API_VERSION}' and 'kind: SwarmRun'"
        rule = "must hold a SwarmRun or a project specification"
        raise Invalid([Problem(path=file, value=shown(kinds), rule=rule, fix=fix)])
    return found


def _bare(document: dict[str, Any]) -> Manifest:
    return Manifest(name=str(document.get("project_name", "project"))[:100], root="", project=document)


def check(manifest: Manifest) -> Planned:
    """Judge a run as the operator will, and plan it.

    Raises:
        Invalid: with every fault of the manifest and of its project.
    """
    problems = list(manifest.problems)
    stacks = [profiles.load(name) for name in profiles.names()]
    try:
        project = parse_project(manifest.project, profiles=stacks, root=manifest.root)
        plan = build_plan(project, profiles.load(project.profile))
    except Invalid as error:
        raise Invalid([*problems, *error.problems]) from None
    if problems:
        raise Invalid(problems)
    return Planned(manifest, project, plan)


# ── one SwarmRun ────────────────────────────────────────────────────────────────────────────────────────


def _run(document: dict[str, Any], documents: list[dict[str, Any]]) -> Manifest:
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    name = str(metadata.get("name", ""))
    problems = [*_head_problems(document, name)]
    raw = document.get("spec")
    raw = raw if isinstance(raw, dict) else {}
    spec = None
    try:
        spec = SwarmRunSpec.model_validate(raw)
    except ValidationError as error:
        problems += _spec_problems(error, raw)
    project, root = raw.get("project"), "spec.project"
    if spec is not None:
        problems += _cross_problems(spec)
    if project is None and isinstance(raw.get("projectFrom"), dict):
        project, root, more = _from_config_map(raw, documents)
        problems += more
    return Manifest(name=name or "?", root=root, project=project, spec=spec, problems=tuple(problems))


def _head_problems(document: dict[str, Any], name: str) -> list[Problem]:
    out = []
    if document.get("apiVersion") != API_VERSION:
        out.append(
            _problem("apiVersion", document.get("apiVersion"), f"must be {API_VERSION}", "write it so")
        )
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) or len(name) > MAX_NAME:
        rule = f"must be 1 to {MAX_NAME} lower-case letters, digits and hyphens, without dots"
        out.append(
            _problem("metadata.name", name or None, rule, "choose such a name, as task-management-api")
        )
    return out


def _problem(path: str, value: Any, rule: str, fix: str) -> Problem:
    return Problem(path=path, value=shown(value), rule=rule, fix=fix)


def _spec_problems(error: ValidationError, raw: dict[str, Any]) -> list[Problem]:
    """Turn Pydantic's errors into problems, with the CRD's own messages where it has one."""
    schema = structural(SwarmRunSpec)
    out: dict[str, Problem] = {}
    for entry in error.errors(include_url=False):
        path, node = "spec", schema
        value: Any = raw
        known: list[str] = []
        for key in entry["loc"]:
            inner = node.get("items") if isinstance(key, int) else node.get("properties", {}).get(key)
            if inner is None and entry["type"] == "extra_forbidden":
                known = sorted(node.get("properties", {}))
            if inner is None and not known:
                break  # a branch of a union, not a field
            path += f"[{key}]" if isinstance(key, int) else f".{key}"
            value = _child(value, key)
            node = inner or {}
        rules = node.get("x-kubernetes-validations") or []
        message = rules[0]["message"] if rules and entry["type"] != "missing" else ""
        rule = message or _RULES.get(entry["type"]) or entry["msg"].removeprefix("Value error, ")
        rule = rule[0].lower() + rule[1:]
        out.setdefault(path, _problem(path, value, rule, _fix(entry["type"], path, known)))
    return list(out.values())


def _child(value: Any, key: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(key)
    return value[key] if isinstance(value, list) and isinstance(key, int) else None


def _fix(kind: str, path: str, known: list[str]) -> str:
    if kind == "extra_forbidden":
        return did_you_mean(path.rsplit(".", 1)[-1], known, f"use one of {', '.join(known)}")
    field = re.sub(r"\[\d+\]", "", path)
    return "add it" if kind == "missing" else f"see kubectl explain swarmrun.{field}"


def _cross_problems(spec: SwarmRunSpec) -> list[Problem]:
    """Check what the CRD judges by CEL and the operator by its price table."""
    out = []
    if (spec.project is None) == (spec.project_from is None):
        both = "both" if spec.project is not None else None
        out.append(
            _problem("spec", both, "must have exactly one of project and projectFrom", "keep one of the two")
        )
    out += _provider_problems(spec)
    branch = spec.repository.branch
    if ".." in branch or "//" in branch or branch.endswith(("/", ".lock")):
        rule = "must be a valid branch name: no '..', no '//', no trailing '/' or '.lock'"
        out.append(_problem("spec.repository.branch", branch, rule, "choose another name"))
    return out + _price_problems(spec)


def _provider_problems(spec: SwarmRunSpec) -> list[Problem]:
    out: list[Problem] = []
    amounts = {"spec.budget.maxCostUSD": spec.budget.max_cost_usd}
    endpoints: dict[str, api_provider.ProviderEndpoint] = {"spec.provider": spec.provider}
    if (fallback := spec.provider.fallback) is not None:
        endpoints["spec.provider.fallback"] = fallback
        if fallback.type != spec.provider.type:
            rule = "must be the type of spec.provider; a fallback speaks the same dialect"
            fix = f"write {spec.provider.type}"
            out.append(_problem("spec.provider.fallback.type", fallback.type, rule, fix))
    for root, endpoint in endpoints.items():
        if endpoint.type == "OpenAICompatible" and not endpoint.base_url:
            fix = "write the server's URL, such as http://ollama.models.svc:11434/v1"
            out.append(_problem(f"{root}.baseURL", None, "must be set for type OpenAICompatible", fix))
        for index, price in enumerate(endpoint.prices):
            for key, amount in price.model_dump(by_alias=True, exclude={"model"}, exclude_none=True).items():
                amounts[f"{root}.prices[{index}].{key}"] = amount
    for path, amount in amounts.items():
        if not re.fullmatch(USD_PATTERN, str(amount)):
            rule = "must be a decimal number of US dollars with at most 6 decimals and no exponent"
            out.append(_problem(path, amount, rule, 'write it as "150.00" or 25'))
    return out


def now() -> datetime:
    """Return the time, for prices that change with it."""
    return datetime.fromtimestamp(time.time(), UTC)


def _where(spec: SwarmRunSpec, model: str) -> str:
    """Return the path of a model without a price."""
    if spec.provider.fallback is not None and model in spec.provider.fallback.models.values():
        return "spec.provider.fallback.models"
    return "spec.model" if model == spec.model else "spec.modelPolicy"


def _price_problems(spec: SwarmRunSpec) -> list[Problem]:
    from swarmrun.prices import unpriced_models  # noqa: PLC0415 — the price table takes half a second to load

    return [
        _problem(
            _where(spec, model),
            model,
            f"must be a model with a known price at provider {spec.provider.type}",
            "declare its price under spec.provider.prices, 0 for a local model, or name another model",
        )
        for model in unpriced_models(models_of(spec).models(), provider_of(spec), at=now())
    ]


def _from_config_map(raw: dict[str, Any], documents: list[dict[str, Any]]) -> tuple[Any, str, list[Problem]]:
    """Find the project in a ConfigMap of the same file."""
    ref = raw["projectFrom"].get("configMapKeyRef")
    ref = ref if isinstance(ref, dict) else {}
    name, key = ref.get("name"), ref.get("key", "project.yaml")
    names = []
    for document in documents:
        if document.get("kind") == "ConfigMap" and isinstance(document.get("metadata"), dict):
            names.append(str(document["metadata"].get("name")))
            data = document.get("data")
            text = data.get(key) if isinstance(data, dict) and names[-1] == name else None
            if isinstance(text, str):
                root = f"ConfigMap/{name}[{key}]"
                try:
                    return next(iter(parse_documents(text, root)), None), root, []
                except Invalid as error:
                    return None, root, list(error.problems)
    near = nearest(str(name), names) if names else None
    fix = (
        f"did you mean {near!r}?"
        if near and near != name
        else "put that ConfigMap into the same file to check it"
    )
    problem = _problem(
        "spec.projectFrom.configMapKeyRef", f"{name}[{key}]", "must be in the file to be checked", fix
    )
    return None, "spec.projectFrom", [problem]

"""The cluster that KUBECONFIG names: looked at before anything is built, so that a fault costs nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swarmdemo.settings import LABEL
from swarmdemo.shell import CannotStartError, Tools

OLDEST = (1, 32)
"""The oldest Kubernetes that the CRDs' validation rules run on."""
SECONDS = 10
"""How long one question to kubectl may take."""
LOADERS = {"kind-": "kind", "k3d-": "k3d"}
"""Prefix of a context's name → the program that copies images into that cluster's nodes."""
REGISTRY = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*")


@dataclass(frozen=True)
class Facts:
    """What was found of the cluster; later fields are looked for only if the earlier ones are in order."""

    kubeconfig: str
    """The value of KUBECONFIG: one file, or several joined by ':'."""
    registry: str
    """The value of IMAGE_REGISTRY."""
    files_present: bool = False
    config_error: str = ""
    contexts: tuple[str, ...] = ()
    context: str = ""
    has_loader: bool = True
    """The kind or k3d command is here, if the context needs one."""
    server_error: str = ""
    version: tuple[int, int] = OLDEST
    may_install: bool = True
    foreign_namespace: str = ""
    """A namespace that the demo would use and that it did not make."""


def loader(facts: Facts) -> str | None:
    """Return the program that brings images into the cluster's nodes; None: they come by IMAGE_REGISTRY."""
    if facts.registry:
        return None
    return next((program for prefix, program in LOADERS.items() if facts.context.startswith(prefix)), None)


def decide(facts: Facts) -> str:
    """Return what is wrong and what to do about it, or an empty text."""
    return wrong_configuration(facts) or wrong_images(facts) or wrong_server(facts)


def wrong_configuration(facts: Facts) -> str:
    """Return what is wrong with the kubeconfig, or an empty text."""
    given = f"KUBECONFIG={facts.kubeconfig}"
    if not facts.files_present:
        return (
            f"{given}: no such file; set it to the kubeconfig of your cluster, or `unset KUBECONFIG` "
            "for a node that the demo starts itself"
        )
    if facts.config_error:
        return f"{given}: not a kubeconfig: {facts.config_error}"
    known = ", ".join(facts.contexts) or "none"
    if not facts.context:
        return (
            f"{given}: no current context; choose one with `kubectl config use-context NAME`; there: {known}"
        )
    if facts.context not in facts.contexts:
        return (
            f"{given}: the current context {facts.context!r} does not exist; choose another with "
            f"`kubectl config use-context NAME`; there: {known}"
        )
    return ""


def wrong_images(facts: Facts) -> str:
    """Return why images would not get into the cluster, or an empty text."""
    if facts.registry and not REGISTRY.fullmatch(facts.registry):
        return (
            f"IMAGE_REGISTRY={facts.registry}: must be HOST[:PORT][/PATH] in lower case, without a scheme, "
            "such as registry.example.com/me"
        )
    program = loader(facts)
    if not facts.registry and program is None:
        return (
            f"the context {facts.context!r} is neither kind-… nor k3d-…: set IMAGE_REGISTRY=HOST/PATH to a "
            "registry that this machine may push to and the cluster pulls from without a login"
        )
    if not facts.has_loader:
        return (
            f"the context {facts.context!r} needs the command {program!r}, which is not on PATH: install it, "
            "or set IMAGE_REGISTRY=HOST/PATH to a registry that the cluster pulls from"
        )
    return ""


def wrong_server(facts: Facts) -> str:
    """Return what is wrong with the server and this user's rights there, or an empty text."""
    if facts.server_error:
        return (
            f"the API server of context {facts.context!r} does not answer: {facts.server_error}\n"
            "  start the cluster, or choose another with `kubectl config use-context NAME`; "
            "`kubectl get namespaces` must work"
        )
    if facts.version < OLDEST:
        return (
            f"the cluster of context {facts.context!r} runs Kubernetes "
            f"{facts.version[0]}.{facts.version[1]}: must be {OLDEST[0]}.{OLDEST[1]} or newer"
        )
    if not facts.may_install:
        return (
            f"the user of context {facts.context!r} may not create ClusterRoles: installing an operator "
            "needs an administrator of the cluster"
        )
    if facts.foreign_namespace:
        return (
            f"the namespace {facts.foreign_namespace!r} exists and the demo did not make it: it may be in "
            "use. Choose another cluster, or hand it over to the demo, which then changes and deletes it: "
            f"`kubectl label namespace {facts.foreign_namespace} {LABEL}=true`"
        )
    return ""


def gather(kubeconfig: str, tools: Tools, namespaces: Sequence[str]) -> Facts:
    """Look at the cluster step by step, each step only if the one before found no fault.

    Args:
        kubeconfig: the value of KUBECONFIG.
        tools: kubectl with that KUBECONFIG.
        namespaces: what the demo makes, changes and deletes.
    """
    files = [Path(part) for part in kubeconfig.split(os.pathsep) if part]
    registry = os.environ.get("IMAGE_REGISTRY", "").rstrip("/")
    facts = Facts(kubeconfig, registry, any(file.is_file() for file in files))
    if not facts.files_present:
        return facts
    facts = _with_configuration(facts, tools)
    if wrong_configuration(facts):
        return facts
    facts = _with_server(facts, tools)
    return facts if facts.server_error else _with_rights(facts, tools, namespaces)


def _with_configuration(facts: Facts, tools: Tools) -> Facts:
    shown = tools.attempt(["kubectl", "config", "view", "-o", "json"], timeout=SECONDS)
    if shown.returncode != 0:
        return replace(facts, config_error=last_line(shown.stderr))
    view = json.loads(shown.stdout)
    facts = replace(
        facts,
        contexts=tuple(context["name"] for context in view.get("contexts") or []),
        context=view.get("current-context", ""),
    )
    program = loader(facts)
    return replace(facts, has_loader=program is None or shutil.which(program) is not None)


def _with_server(facts: Facts, tools: Tools) -> Facts:
    asked = tools.attempt(
        ["kubectl", "get", "--raw", "/version", f"--request-timeout={SECONDS}s"], timeout=3 * SECONDS
    )
    if asked.returncode != 0:
        return replace(facts, server_error=last_line(asked.stderr))
    said = json.loads(asked.stdout)
    numbers = [int(re.sub(r"\D.*", "", said[part])) for part in ("major", "minor")]
    return replace(facts, version=(numbers[0], numbers[1]))


def _with_rights(facts: Facts, tools: Tools, namespaces: Sequence[str]) -> Facts:
    can = tools.attempt(["kubectl", "auth", "can-i", "create", "clusterroles"], timeout=3 * SECONDS)
    if can.stdout.strip() != "yes":
        return replace(facts, may_install=False)
    marked = [
        f"{item['metadata']['name']}"
        for item in json.loads(tools.kubectl("get", "namespaces", "-o", "json"))["items"]
        if item["metadata"]["name"] in namespaces and LABEL not in item["metadata"].get("labels", {})
    ]
    return replace(facts, foreign_namespace=marked[0] if marked else "")


def last_line(text: str) -> str:
    """Return the last line of a program's complaint, without its `error:`."""
    lines = text.strip().splitlines() or ["no reason was given"]
    return lines[-1].removeprefix("error: ")


def check(kubeconfig: str, tools: Tools, namespaces: Sequence[str]) -> Facts:
    """Return what was found of a cluster that the demo can run on.

    Raises:
        CannotStartError: it cannot; the message says what to do.
    """
    facts = gather(kubeconfig, tools, namespaces)
    if wrong := decide(facts):
        raise CannotStartError(wrong)
    return facts


def cpus(tools: Tools) -> int:
    """Return how many CPUs the cluster's nodes offer, at least one."""
    nodes = json.loads(tools.kubectl("get", "nodes", "-o", "json"))["items"]
    return max(1, int(sum(_cores(node["status"]["allocatable"]["cpu"]) for node in nodes)))


def _cores(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def has_volumes(tools: Tools) -> bool:
    """Say whether the cluster makes volumes for claims that name no StorageClass."""
    classes = json.loads(tools.kubectl("get", "storageclasses", "-o", "json"))["items"]
    return any(
        item["metadata"].get("annotations", {}).get("storageclass.kubernetes.io/is-default-class") == "true"
        for item in classes
    )

"""The cluster of KUBECONFIG: every fault is named before anything is built, with what to do about it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from swarmdemo import given, images
from swarmdemo.shell import Tools

GOOD = given.Facts(
    "/k", "registry.example.com/me", files_present=True, contexts=("mine", "kind-a"), context="mine"
)


def test_a_cluster_in_order_is_taken() -> None:
    assert given.decide(GOOD) == ""
    assert given.decide(replace(GOOD, registry="", context="kind-a")) == ""


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (replace(GOOD, files_present=False), "KUBECONFIG=/k: no such file; set it to"),
        (replace(GOOD, config_error="yaml: line 1"), "not a kubeconfig: yaml: line 1"),
        (
            replace(GOOD, context=""),
            "no current context; choose one with `kubectl config use-context NAME`; ",
        ),
        (replace(GOOD, context="gone"), "'gone' does not exist; .* there: mine, kind-a"),
        (replace(GOOD, registry=""), "neither kind-… nor k3d-…: set IMAGE_REGISTRY=HOST/PATH"),
        (replace(GOOD, registry="https://r.example.com/x"), "without a scheme"),
        (replace(GOOD, registry="", context="kind-a", has_loader=False), "needs the command 'kind'"),
        (
            replace(GOOD, server_error="connection refused"),
            "does not answer: connection refused\n  start the",
        ),
        (replace(GOOD, version=(1, 31)), "runs Kubernetes 1.31: must be 1.32 or newer"),
        (replace(GOOD, may_install=False), "needs an administrator"),
        (replace(GOOD, foreign_namespace="swarmrun-system"), "label namespace swarmrun-system .*demo=true"),
    ],
)
def test_a_fault_is_named_with_its_remedy(facts: given.Facts, wanted: str) -> None:
    with pytest.raises(AssertionError, match=wanted):
        raise AssertionError(given.decide(facts))


def test_a_registry_that_was_named_is_used_for_any_context() -> None:
    assert given.loader(replace(GOOD, context="kind-a")) is None
    assert given.loader(replace(GOOD, context="kind-a", registry="")) == "kind"
    assert given.loader(replace(GOOD, context="k3d-a", registry="")) == "k3d"


def test_kind_and_k3d_copy_archives_whatever_engine_has_built_them() -> None:
    assert images.load_command("kind", "kind-a") == ["kind", "load", "image-archive", "--name", "a"]
    assert images.load_command("k3d", "k3d-b") == ["k3d", "image", "import", "--cluster", "b"]


def test_another_base_gives_an_image_another_tag() -> None:
    assert images.digest(images.REDIS) != images.digest(images.REDIS, "registry.example.com/base:1")
    assert images.digest(images.REDIS) == images.digest(images.REDIS, "")


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
def test_every_engine_has_a_remedy_for_a_refused_push(engine: str) -> None:
    assert f"{engine} login" in images.PUSH_REMEDY[engine]


class Recorded(Tools):
    """kubectl whose answers are given; any other question fails the test."""

    def __init__(self, answers: dict[str, tuple[int, str, str]]) -> None:
        super().__init__("/k", None)
        self.answers = answers

    def attempt(
        self, argv: object, *, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Answer by the longest known beginning of the command."""
        del stdin, timeout
        assert isinstance(argv, list)
        words = " ".join(argv)
        code, out, err = next(value for key, value in self.answers.items() if words.startswith(key))
        return subprocess.CompletedProcess(argv, code, out, err)


def kubeconfig(folder: Path) -> str:
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config"}))
    return str(path)


VIEW = (0, '{"contexts": [{"name": "mine"}], "current-context": "mine"}', "")
VERSION = (0, '{"major": "1", "minor": "33+"}', "")


def test_a_server_that_does_not_answer_is_not_asked_further(tmp_path: Path) -> None:
    tools = Recorded({"kubectl config": VIEW, "kubectl get --raw": (1, "", "E1\nerror: dial tcp: refused\n")})
    facts = given.gather(kubeconfig(tmp_path), tools, ("swarmrun-system",))
    assert facts.server_error == "dial tcp: refused"


def test_a_namespace_of_somebody_else_is_seen(tmp_path: Path) -> None:
    theirs = (
        '{"items": [{"metadata": {"name": "swarmrun-system", "labels": {}}}, {"metadata": {"name": "x"}}]}'
    )
    answers = {"kubectl config": VIEW, "kubectl get --raw": VERSION, "kubectl auth": (0, "yes\n", "")}
    tools = Recorded({**answers, "kubectl get namespaces": (0, theirs, "")})
    facts = given.gather(kubeconfig(tmp_path), tools, ("swarmrun-system",))
    assert facts.version == (1, 33)
    assert facts.foreign_namespace == "swarmrun-system"


def test_one_of_several_files_of_a_kubeconfig_is_enough(tmp_path: Path) -> None:
    tools = Recorded({"kubectl config": VIEW, "kubectl get --raw": (1, "", "no")})
    assert given.gather(f"/nowhere:{kubeconfig(tmp_path)}", tools, ()).files_present
    assert not given.gather("/nowhere:/nor/here", tools, ()).files_present

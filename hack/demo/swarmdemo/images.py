"""Builds the images and brings them to the cluster. An image's tag is the hash of what it is made of."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from swarmcluster import engines, images, node
from swarmcluster.progress import say, step
from swarmcluster.state import Cluster
from swarmdemo.settings import ROOT
from swarmdemo.shell import DemoError

SOURCES = ("pyproject.toml", "README.md", "requirements", "operator", "agent_image")


@dataclass(frozen=True)
class Image:
    """One image: its name without tag, its Dockerfile, and the further sources it depends on."""

    name: str
    file: str
    sources: tuple[str, ...]
    public_base: str


OPERATOR = Image("swarmrun-operator", "Dockerfile.operator", SOURCES, "python")
AGENT = Image("swarmrun-agent", "Dockerfile.agent", SOURCES, "python")
DEMO = Image(
    "swarmrun-demo",
    "hack/demo/Dockerfile",
    (*SOURCES, "Dockerfile.agent", "hack/demo/simulated_model", "hack/demo/git_server"),
    "",
)
REDIS = Image("swarmrun-redis", "hack/images/Dockerfile.redis", (), "debian")


@dataclass(frozen=True)
class Built:
    """Full names of all images of one demo."""

    operator: str
    agent: str
    demo: str
    redis: str

    @property
    def all(self) -> tuple[str, ...]:
        """Every name."""
        return (self.operator, self.agent, self.demo, self.redis)


def digest(image: Image) -> str:
    """Hash an image's Dockerfile and sources; caches and compiled files do not count."""
    total = hashlib.sha256((ROOT / image.file).read_bytes())
    for source in image.sources:
        path = ROOT / source
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            if "__pycache__" not in file.parts and file.suffix != ".pyc":
                total.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:12]


def build_all(registry: str, *, public_bases: bool) -> Built:
    """Build what the engine lacks. Without public bases, Debian packages make the base.

    Raises:
        DemoError: no engine, or a build failed.
    """
    base = {} if public_bases else {"BASE_IMAGE": images.base()}
    names = {
        image.name: f"{registry}/{image.name}:{digest(image)}" for image in (OPERATOR, AGENT, DEMO, REDIS)
    }
    _build_side_by_side([(OPERATOR, base), (REDIS, base), (AGENT, base)], names)
    _build(DEMO, names, {"AGENT_IMAGE": names[AGENT.name]})
    return Built(names[OPERATOR.name], names[AGENT.name], names[DEMO.name], names[REDIS.name])


def _build_side_by_side(jobs: list[tuple[Image, dict[str, str]]], names: dict[str, str]) -> None:
    errors: list[Exception] = []

    def job(image: Image, arguments: dict[str, str]) -> None:
        try:
            _build(image, names, arguments)
        except Exception as error:  # noqa: BLE001 — carried to the caller's thread below
            errors.append(error)

    threads = [threading.Thread(target=job, args=pair) for pair in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _build(image: Image, names: dict[str, str], arguments: dict[str, str]) -> None:
    tag = names[image.name]
    if not images.exists(tag):
        images.build_image(ROOT / image.file, tag, ROOT, arguments)


def deliver_to_node(cluster: Cluster, built: Built) -> None:
    """Copy the images that the node of hack/cluster lacks; a tag names its content, so present is enough."""
    present = node.image_names(cluster)
    for name in built.all:
        if name not in present:
            images.load(cluster, name)


def deliver_elsewhere(context: str, built: Built) -> None:
    """Bring the images to the user's own cluster: kind and k3d load them, others pull (IMAGE_REGISTRY)."""
    if context.startswith("kind-"):
        _load(
            [shutil.which("kind") or "kind", "load", "docker-image", "--name", context.removeprefix("kind-")],
            built,
        )
    elif context.startswith("k3d-"):
        _load(
            [shutil.which("k3d") or "k3d", "image", "import", "--cluster", context.removeprefix("k3d-")],
            built,
        )
    elif os.environ.get("IMAGE_REGISTRY"):
        engine = engines.find()
        for name in built.all:
            with step(f"push {name}"):
                subprocess.run([engine, "push", name], check=True, timeout=900)
    else:
        raise DemoError(
            f"the context {context!r} is neither kind nor k3d: set IMAGE_REGISTRY=host/path to a registry "
            "that both this machine and the cluster reach, and run again"
        )


def _load(command: list[str], built: Built) -> None:
    for name in built.all:
        with step(f"load {name}"):
            subprocess.run([*command, name], check=True, timeout=900)
    say("images are loaded")


def context_of(kubeconfig: Path) -> str:
    """Name the kubeconfig's current context."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(kubeconfig), "config", "current-context"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout.strip()

"""Builds the images and brings them to the cluster. An image's tag is the hash of what it is made of."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from swarmcluster import engines, images, node
from swarmcluster.errors import CommandError
from swarmcluster.progress import step
from swarmcluster.shell import run
from swarmcluster.state import Cluster
from swarmdemo.settings import ROOT
from swarmdemo.shell import DemoError

COPY_SECONDS = 900
_LOGIN = "log in with `{0} login HOST`; a registry without TLS must be named in {1}"
_REGISTRIES = "/etc/containers/registries.conf ([[registry]] location = 'HOST:PORT', insecure = true)"
PUSH_REMEDY = {
    "docker": _LOGIN.format("docker", "/etc/docker/daemon.json (insecure-registries)"),
    "podman": _LOGIN.format("podman", _REGISTRIES),
    "buildah": _LOGIN.format("buildah", _REGISTRIES),
}
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


def digest(image: Image, base: str = "") -> str:
    """Hash an image's Dockerfile, sources and chosen base; caches and compiled files do not count."""
    total = hashlib.sha256((ROOT / image.file).read_bytes() + base.encode())
    for source in image.sources:
        path = ROOT / source
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            if "__pycache__" not in file.parts and file.suffix != ".pyc":
                total.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:12]


def build_all(registry: str, *, public_bases: bool) -> Built:
    """Build what the engine lacks, on the image that BASE_IMAGE names.

    Without it: on public Python and Debian images, or on one made from Debian packages.

    Raises:
        ClusterError: no engine, or a build failed.
    """
    chosen = os.environ.get("BASE_IMAGE", "")
    base = {"BASE_IMAGE": chosen} if chosen else {} if public_bases else {"BASE_IMAGE": images.base()}
    names = {
        image.name: f"{registry}/{image.name}:{digest(image, chosen)}"
        for image in (OPERATOR, AGENT, DEMO, REDIS)
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


def deliver_elsewhere(loader: str | None, context: str, built: Built) -> None:
    """Bring the images to the user's own cluster.

    Args:
        loader: kind or k3d, which copy archives into their nodes; None: it pulls what is pushed.
        context: the kubeconfig's current context; with kind and k3d it names the cluster.
        built: the images.

    Raises:
        DemoError: one of them could not be copied or pushed.
    """
    engine = engines.find()
    for name in built.all:
        if loader is None:
            _push(engine, name)
        else:
            _load(engine, name, load_command(loader, context))


def load_command(loader: str, context: str) -> list[str]:
    """Return the command that copies an archive, its last word, into a cluster's nodes.

    From an archive and not from an engine's storage: kind and k3d know docker's alone.
    """
    if loader == "kind":
        return ["kind", "load", "image-archive", "--name", context.removeprefix("kind-")]
    return ["k3d", "image", "import", "--cluster", context.removeprefix("k3d-")]


def _load(engine: str, image: str, command: list[str]) -> None:
    with step(f"load {image}"), tempfile.TemporaryDirectory(prefix="swarmrun-load-") as folder:
        archive = Path(folder, "image.tar")
        try:
            run(engines.export_command(engine, image, archive), timeout=COPY_SECONDS)
            run([*command, archive], timeout=COPY_SECONDS)
        except CommandError as error:
            raise DemoError(f"{image} could not be copied into the cluster: {error}") from error


def _push(engine: str, image: str) -> None:
    with step(f"push {image}"):
        try:
            run([engine, "push", image], timeout=COPY_SECONDS)
        except CommandError as error:
            raise DemoError(f"{image} could not be pushed: {error}\n{PUSH_REMEDY[engine]}") from error

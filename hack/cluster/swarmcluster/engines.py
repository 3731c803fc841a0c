"""Which image builder this machine has, and the command lines to use it (mostly pure)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from swarmcluster.errors import UsageError
from swarmcluster.shell import succeeds

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def works(name: str) -> bool:
    """Say whether an engine can be used: the docker command may exist without its daemon."""
    if shutil.which(name) is None:
        return False
    return True if name == "buildah" else succeeds([name, "info"], timeout=15)


def find(usable: Callable[[str], bool] = works) -> str:
    """Return the engine to use: docker, podman or buildah, the first that works.

    Raises:
        UsageError: none works.
    """
    for name in ("docker", "podman", "buildah"):
        if usable(name):
            return name
    raise UsageError(
        "no image builder: docker, podman or buildah must work; `cluster setup-packages` brings buildah"
    )


def build_command(
    engine: str,
    *,
    file: Path,
    tag: str,
    context: Path,
    arguments: Mapping[str, str],
    mounts: Sequence[tuple[Path, str]],
    environment: Mapping[str, str],
) -> list[str]:
    """Return the command that builds an image.

    Args:
        engine: docker, podman or buildah.
        file: the Dockerfile.
        tag: the image's name.
        context: the build context.
        arguments: build arguments.
        mounts: files of this machine to show read-only during RUN (path here, path in the build); docker has
            no such mounts and needs none, as its own configuration serves the registries.
        environment: this process' environment, for the proxies.
    """
    proxies = {name: environment[name] for name in PROXIES if environment.get(name)}
    words = [f"{name}={value}" for name, value in {**proxies, **arguments}.items()]
    pairs = [part for word in words for part in ("--build-arg", word)]
    common = ["--network", "host", *pairs, "-f", str(file), "-t", tag]
    volumes = [part for source, target in mounts for part in ("-v", f"{source}:{target}:ro")]
    if engine == "docker":
        return ["docker", "build", *common, str(context)]
    if engine == "podman":
        return ["podman", "build", *common, *volumes, str(context)]
    return ["buildah", "bud", "--isolation", "chroot", "--layers=true", *common, *volumes, str(context)]


def export_command(engine: str, image: str, archive: Path) -> list[str]:
    """Return the command that writes an image of the engine's storage to an archive."""
    if engine == "docker":
        return ["docker", "save", "-o", str(archive), image]
    if engine == "podman":
        return ["podman", "save", "-o", str(archive), image]
    return ["buildah", "push", "--quiet", "--disable-compression", image, f"docker-archive:{archive}:{image}"]

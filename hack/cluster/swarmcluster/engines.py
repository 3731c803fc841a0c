"""Which image builder this machine has, and the command lines to use it (mostly pure)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from swarmcluster.errors import UsageError
from swarmcluster.shell import succeeds

ENGINES = ("docker", "podman", "buildah")
VARIABLE = "CONTAINER_ENGINE"
ANSWER_SECONDS = 15
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@cache
def works(name: str) -> bool:
    """Say whether an engine can be used: the docker command may exist without its daemon.

    Asked once per process, because a daemon that does not answer costs 15 s.
    """
    if shutil.which(name) is None:
        return False
    return True if name == "buildah" else succeeds([name, "info"], timeout=ANSWER_SECONDS)


def find(usable: Callable[[str], bool] = works, wanted: str | None = None) -> str:
    """Return the engine to use: the one that CONTAINER_ENGINE names, else the first that works.

    Args:
        usable: says whether an engine works.
        wanted: an engine's name; the value of CONTAINER_ENGINE when omitted.

    Raises:
        UsageError: none works, or not the wanted one.
    """
    wanted = os.environ.get(VARIABLE, "") if wanted is None else wanted
    if wanted and wanted not in ENGINES:
        raise UsageError(f"{VARIABLE}={wanted}: must be one of {', '.join(ENGINES)}, or unset")
    if wanted and not usable(wanted):
        raise UsageError(
            f"{VARIABLE}={wanted}: `{wanted} info` fails, so it is not installed or its daemon does not run; "
            f"start it, or unset {VARIABLE} to use whichever engine works"
        )
    if wanted:
        return wanted
    for name in ENGINES:
        if usable(name):
            return name
    raise UsageError(
        "no image builder: docker (with its daemon), podman or buildah must work; "
        "`hack/cluster/cluster setup-packages` brings buildah"
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
            no such mounts: what a mirror or a company's certificates need must be in its base image.
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

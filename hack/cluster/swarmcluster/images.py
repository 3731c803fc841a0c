"""Build images behind whatever registries this machine is set up for, and load them into a node."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from swarmcluster import engines, node
from swarmcluster.errors import CommandError, UsageError
from swarmcluster.locks import locked
from swarmcluster.paths import cache_dir
from swarmcluster.progress import step
from swarmcluster.shell import run, succeeds
from swarmcluster.state import Cluster

BASE_TAG = "localhost/swarmrun-base:bookworm"
BASE_SUITE = "bookworm"
BASE_PACKAGES = ("ca-certificates", "git", "python3", "python3-venv")
BASE_SECONDS = 900
BUILD_SECONDS = 1800
OS_RELEASE = Path("/etc/os-release")
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
FORGET_APT_OPTIONS = '--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"'
CERTIFICATES = Path("/etc/ssl/certs")
MOUNTS_REMEDY = (
    "\n  If pip, apt or npm did not reach their registries: docker cannot be shown this machine's settings "
    "and certificates for them. Set CONTAINER_ENGINE=podman or buildah, or BASE_IMAGE to one that has them"
)
# Settings of apt that describe how to reach the archive, not where things are on this machine.
APT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
# Settings of pip that describe how to reach the index; paths to local folders mean nothing inside a build.
PIP_SETTINGS = ("index-url", "extra-index-url", "proxy", "cert", "client-cert", "trusted-host", "timeout")


def can_make_base() -> bool:
    """Say whether this user and machine can make the base image: root, with mmdebstrap."""
    return os.geteuid() == 0 and shutil.which("mmdebstrap") is not None


def base() -> str:
    """Make the base image from Debian's archive if the engine lacks it; return its name.

    Raises:
        ClusterError: mmdebstrap or the engine failed.
    """
    engine = engines.find()
    identity = hashlib.sha256("\n".join([BASE_SUITE, *BASE_PACKAGES]).encode()).hexdigest()[:16]
    archive = cache_dir() / "images" / f"base-{identity}.tar"
    with locked(archive.with_suffix(".lock"), timeout=BASE_SECONDS):
        if not archive.exists():
            _bootstrap(archive)
        marker = archive.with_suffix(f".{engine}")
        if not (marker.exists() and _has_image(engine, BASE_TAG)):
            with step(f"import {BASE_TAG}"):
                _import_base(engine, archive)
            marker.touch()
    return BASE_TAG


def _bootstrap(archive: Path) -> None:
    scratch = archive.with_name(f"{archive.stem}.tmp-{os.getpid()}.tar")
    include = ",".join(BASE_PACKAGES)
    thin = [
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
    ]
    try:
        with step(f"make a Debian {BASE_SUITE} base with mmdebstrap"), _apt_settings() as settings:
            options = [f"--aptopt={settings}", FORGET_APT_OPTIONS] if settings is not None else []
            argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={include}", *thin, *options]
            run([*argv, BASE_SUITE, str(scratch), *_own_sources()], timeout=BASE_SECONDS)
        scratch.rename(archive)
    finally:
        scratch.unlink(missing_ok=True)


def _own_sources() -> list[str]:
    """Return this machine's own list of Debian archives if it runs the same release, else nothing."""
    release = OS_RELEASE.read_text() if OS_RELEASE.exists() else ""
    if f"VERSION_CODENAME={BASE_SUITE}" not in release or "ID=debian" not in release.splitlines():
        return []
    return [str(path) for path in SOURCES if path.exists()][:1]


def _has_image(engine: str, tag: str) -> bool:
    if engine == "docker":
        return succeeds(["docker", "image", "inspect", tag])
    return succeeds([engine, "inspect", "--type", "image", tag])


def exists(tag: str) -> bool:
    """Say whether this machine's engine has the image."""
    return _has_image(engines.find(), tag)


def _import_base(engine: str, archive: Path) -> None:
    if engine in {"docker", "podman"}:
        run([engine, "import", archive, BASE_TAG], timeout=BASE_SECONDS)
        return
    container = run(["buildah", "from", "scratch"]).strip()
    try:
        run(["buildah", "add", "--quiet", container, archive, "/"], timeout=BASE_SECONDS)
        run(
            [
                "buildah",
                "config",
                "--env",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                container,
            ]
        )
        run(["buildah", "commit", "--quiet", container, BASE_TAG], timeout=BASE_SECONDS)
    finally:
        run(["buildah", "rm", container])


def build_image(file: Path, tag: str, context: Path, arguments: Mapping[str, str]) -> None:
    """Build a Dockerfile; pip, apt and npm inside RUN reach the registries that this machine is set up for.

    Raises:
        CommandError: the build failed; its own output was shown.
    """
    if not file.is_file():
        raise UsageError(f"--file {file}: no such file")
    engine = engines.find()
    with step(f"build {tag} with {engine}"), _registry_files() as mounts:
        argv = engines.build_command(
            engine,
            file=file,
            tag=tag,
            context=context,
            arguments=arguments,
            mounts=mounts if engine != "docker" else [],
            environment=os.environ,
        )
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=BUILD_SECONDS, check=False
        )
        if done.returncode != 0:
            hint = MOUNTS_REMEDY if engine == "docker" and mounts else ""
            raise CommandError(
                f"{engine} build of {file}: exit code {done.returncode}; its output is above{hint}"
            )


@contextmanager
def _registry_files() -> Iterator[list[tuple[Path, str]]]:
    """Yield registry settings as files to mount; they may hold credentials, so they are deleted at once."""
    with tempfile.TemporaryDirectory(prefix="swarmrun-build-") as folder, _apt_settings() as apt:
        mounts: list[tuple[Path, str]] = []
        pip = pip_config(_output([sys.executable, "-m", "pip", "config", "list"]))
        if pip:
            path = Path(folder, "pip.conf")
            path.touch(mode=0o600)
            path.write_text(pip)
            mounts.append((path, "/etc/pip.conf"))
        if apt is not None:
            mounts.append((apt, "/etc/apt/apt.conf.d/99swarmrun-build"))
        npmrc = Path.home() / ".npmrc"
        if npmrc.is_file():
            mounts.append((npmrc, "/root/.npmrc"))
        if CERTIFICATES.is_dir():
            mounts.append((CERTIFICATES, str(CERTIFICATES)))
        yield mounts


@contextmanager
def _apt_settings() -> Iterator[Path | None]:
    settings = apt_config(_output(["apt-config", "dump"]))
    if not settings:
        yield None
        return
    with tempfile.NamedTemporaryFile("w", prefix="swarmrun-apt-", suffix=".conf") as stream:
        stream.write(settings)
        stream.flush()
        Path(stream.name).chmod(0o644)  # apt inside the build reads it as user _apt
        yield Path(stream.name)


def _output(argv: list[str]) -> str:
    try:
        return run(argv)
    except CommandError:
        return ""


def apt_config(dump: str) -> str:
    """Return the lines of `apt-config dump` that say how the archive is reached."""
    lines = [
        line for line in dump.splitlines() if line.startswith(APT_SETTINGS) and not line.endswith(' "";')
    ]
    return "".join(f"{line}\n" for line in lines)


def pip_config(listing: str) -> str:
    """Return a pip.conf with the settings of `pip config list` that say how the index is reached.

    Environment variables (`:env:.cert='…'`) come last in the listing and win, as they do in pip.
    """
    settings: dict[str, str] = {}
    for line in listing.splitlines():
        name, separator, quoted = line.partition("=")
        key = name.rpartition(".")[2]
        if separator and key in PIP_SETTINGS and name.startswith(("global.", ":env:.")):
            settings[key] = " ".join(shlex.split(quoted)).replace("\\n", "\n  ")
    lines = [f"{key} = {value}\n" for key, value in settings.items()]
    return "".join(["[global]\n", *lines]) if lines else ""


def load(cluster: Cluster, image: str) -> None:
    """Copy an image from the engine's storage, or an archive, into the node.

    Raises:
        ClusterError: no such image or archive, or the node does not run.
    """
    if cluster.slot is None:
        raise UsageError(f"cluster {cluster.name!r} is a control plane only: it runs no image")
    with step(f"load {image}"):
        if Path(image).is_file():
            node.import_archive(cluster, Path(image))
            return
        with tempfile.TemporaryDirectory(prefix="swarmrun-load-") as folder:
            archive = Path(folder, "image.tar")
            run(engines.export_command(engines.find(), image, archive), timeout=BUILD_SECONDS)
            node.import_archive(cluster, archive)

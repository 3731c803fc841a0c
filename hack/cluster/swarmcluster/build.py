"""Compile the Go programs of this folder once per content of their modules, and find them again at once."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swarmcluster.errors import CommandError, UsageError
from swarmcluster.golang import find_or_install
from swarmcluster.locks import locked
from swarmcluster.paths import GO_DIR, cache_dir
from swarmcluster.progress import Step, step
from swarmcluster.shell import tail

BUILD_SECONDS = 3600
KUBERNETES_VERSION = "1.37.2"
HELM_VERSION = "4.3.1"


@dataclass(frozen=True)
class Program:
    """One binary to build: its module folder, package, flags, and the names it is called by."""

    name: str
    package: str = "."
    tags: str = ""
    stamps: tuple[tuple[str, str], ...] = ()
    links: tuple[str, ...] = ()
    packages: int = 0
    """Rough number of packages to compile, for the progress line."""

    def flags(self) -> list[str]:
        """Return the flags of `go build`, without the output path."""
        stamps = " ".join(f"-X {variable}={value}" for variable, value in self.stamps)
        tags = ["-tags", self.tags] if self.tags else []
        return ["-trimpath", "-buildvcs=false", *tags, "-ldflags", f"-s -w {stamps}".strip()]


def _kubernetes_stamps() -> tuple[tuple[str, str], ...]:
    major, minor, _ = KUBERNETES_VERSION.split(".")
    values = (("gitVersion", f"v{KUBERNETES_VERSION}"), ("gitMajor", major), ("gitMinor", minor))
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return tuple((f"{package}.{name}", value) for package in packages for name, value in values)


PROGRAMS = {
    program.name: program
    for program in (
        Program(
            "kubernetes",
            tags="providerless,selinux",
            stamps=_kubernetes_stamps(),
            links=(
                "etcd",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            ),
            packages=2900,
        ),
        Program("coredns", packages=1100),
        Program(
            "helm",
            package="helm.sh/helm/v4/cmd/helm",
            stamps=(("helm.sh/helm/v4/internal/version.version", f"v{HELM_VERSION}"),),
            packages=1300,
        ),
        Program("pause", packages=60),
    )
}


def program(name: str) -> Program:
    """Return the program called `name`.

    Raises:
        UsageError: there is no such program.
    """
    try:
        return PROGRAMS[name]
    except KeyError as error:
        raise UsageError(f"{name!r}: must be one of {', '.join(PROGRAMS)}, all") from error


def key(files: Mapping[str, bytes], flags: list[str], target: str) -> str:
    """Return the cache key of a build: a digest of module files, sources, flags and platform."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode())
        digest.update(files[name])
    digest.update("\0".join([*flags, target]).encode())
    return digest.hexdigest()


def binary_dir(name: str) -> Path:
    """Return the folder that holds, or will hold, the binaries of program `name`."""
    wanted = program(name)
    folder = GO_DIR / name
    sources = [path for path in sorted(folder.iterdir()) if path.suffix in {".go", ".mod", ".sum"}]
    files = {path.name: path.read_bytes() for path in sources}
    target = f"{platform.system()}/{platform.machine()}/{wanted.package}"
    return cache_dir() / "bin" / key(files, wanted.flags(), target)


def is_built(name: str) -> bool:
    """Say whether program `name` is in the cache."""
    return (binary_dir(name) / name).exists()


def ensure(name: str) -> Path:
    """Return the folder with program `name`, building it first if the cache lacks it.

    Raises:
        CommandError: the compiler failed; the message carries its last lines.
    """
    home = binary_dir(name)
    if is_built(name):
        return home
    with locked(home.with_name(f"{home.name}.lock"), timeout=BUILD_SECONDS):
        if not is_built(name):
            _build(program(name), home)
    return home


def ensure_all(names: list[str]) -> None:
    """Build every program of `names` that the cache lacks, one after the other."""
    for name in names:
        ensure(name)


def _build(wanted: Program, home: Path) -> None:
    go = find_or_install()
    scratch = home.with_name(f"{home.name}.tmp-{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        with step(f"compile {wanted.name} (the first time takes minutes, later ones are cached)") as current:
            _compile(go, wanted, scratch / wanted.name, current)
        for link in wanted.links:
            (scratch / link).symlink_to(wanted.name)
        shutil.rmtree(home, ignore_errors=True)
        scratch.rename(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _compile(go: Path, wanted: Program, output: Path, current: Step) -> None:
    argv = [str(go), "build", "-v", *wanted.flags(), "-o", str(output), wanted.package]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}
    with subprocess.Popen(
        argv,
        cwd=GO_DIR / wanted.name,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        timer = threading.Timer(BUILD_SECONDS, process.kill)
        timer.start()
        try:
            output_tail = _follow(process, wanted, current)
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
        finally:
            timer.cancel()
    if code != 0:
        raise CommandError(f"go build {wanted.name}: exit code {code}\n{output_tail}")


def _follow(process: subprocess.Popen[str], wanted: Program, current: Step) -> str:
    recent: list[str] = []
    count = 0
    if process.stderr is None:
        raise CommandError("go build: no standard error to follow")
    started = time.monotonic()
    for line in process.stderr:
        count += not line.startswith(("go: ", "#", "\t"))
        recent = [*recent[-40:], line]
        minutes = (time.monotonic() - started) / 60
        current.detail = f"{count} of about {wanted.packages} packages, {minutes:.1f} min"
    return tail("".join(recent))


def path_dir() -> Path:
    """Return one folder with links to every command that is built, to be put on PATH."""
    built = [name for name in PROGRAMS if name != "pause" and is_built(name)]
    links = {
        link: binary_dir(name) / link
        for name in built
        for link in (*PROGRAMS[name].links, name)
        if link != "kubernetes"
    }
    digest = hashlib.sha256("\n".join(f"{link} {target}" for link, target in sorted(links.items())).encode())
    home = cache_dir() / "bin" / f"path-{digest.hexdigest()[:16]}"
    if not home.exists():
        scratch = home.with_name(f"{home.name}.tmp-{os.getpid()}")
        scratch.mkdir(parents=True, exist_ok=True)
        for link, target in links.items():
            (scratch / link).unlink(missing_ok=True)
            (scratch / link).symlink_to(target)
        try:
            scratch.rename(home)
        except OSError:  # another process made the same folder first
            shutil.rmtree(scratch, ignore_errors=True)
    return home

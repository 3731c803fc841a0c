"""The Debian packages that a node needs, installed only where they are missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from swarmcluster.errors import ClusterError, CommandError, PreflightError
from swarmcluster.progress import step
from swarmcluster.shell import run

# Package → what it brings: a command on PATH, or a file.
NODE_PACKAGES: Mapping[str, str] = {
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ethtool": "ethtool",
    "socat": "socat",
    "iproute2": "ip",
    "procps": "sysctl",
    "openssl": "openssl",
    "redis-server": "redis-server",
    "faketime": "faketime",
    "postgresql-15": "/usr/lib/postgresql/15/bin/initdb",
}
CONTROL_PLANE_PACKAGES = ("openssl",)
OPTIONAL = {"buildah", "mmdebstrap", "redis-server", "faketime", "postgresql-15"}
POLICY = Path("/usr/sbin/policy-rc.d")
INSTALL_SECONDS = 900


def on_this_machine(thing: str) -> bool:
    """Say whether a command is on PATH (or in an administrator's folder), or a file exists."""
    if thing.startswith("/"):
        return Path(thing).exists()
    return (
        shutil.which(thing) is not None
        or shutil.which(thing, path="/usr/local/sbin:/usr/sbin:/sbin") is not None
    )


def missing(wanted: Mapping[str, str], present: Callable[[str], bool] = on_this_machine) -> list[str]:
    """Return the packages of `wanted` whose command or file is not there."""
    return [package for package, thing in wanted.items() if not present(thing)]


def install_missing(packages: Mapping[str, str] = NODE_PACKAGES) -> None:
    """Install the missing ones of `packages` without starting their services; silent when none is missing.

    Raises:
        PreflightError: packages are missing, and this user or system cannot install them.
    """
    wanted = missing(packages)
    if not wanted:
        return
    if shutil.which("apt-get") is None:
        raise PreflightError(
            f"not a Debian system: install what brings {', '.join(wanted)} with its own package tool"
        )
    if os.geteuid() != 0:
        raise PreflightError(
            f"installing needs root: `sudo apt-get install --no-install-recommends {' '.join(wanted)}`"
        )
    with step(f"install {' '.join(wanted)}"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        forbidden = not POLICY.exists()
        if forbidden:  # Debian's own switch against starting services on installation
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
        try:
            _install(wanted, environment)
        finally:
            if forbidden:
                POLICY.unlink(missing_ok=True)


def _install(wanted: list[str], environment: Mapping[str, str]) -> None:
    lock = ["-o", "DPkg::Lock::Timeout=300"]
    argv = ["apt-get", *lock, "install", "-y", "-qq", "--no-install-recommends", *wanted]
    try:
        try:
            run(argv, timeout=INSTALL_SECONDS, env=environment)
        except CommandError:  # the package lists may be absent or old
            run(["apt-get", "update", "-qq"], timeout=300, env=environment)
            run(argv, timeout=INSTALL_SECONDS, env=environment)
    except CommandError as error:
        raise ClusterError(
            f"apt could not install {' '.join(wanted)}: repair apt's sources and try again.\n{error}"
        ) from error

"""Git credentials: out of the environment, into private files, to git without a trace in argv, URL or log.

The user's Secret reaches the merger as `GIT_CREDENTIAL_<key>` (keys of kubernetes.io/ssh-auth and
kubernetes.io/basic-auth, plus `known_hosts`). `store` moves the values into a 0700 folder of 0600 files;
`git_environment` tells git of that folder. Username and password reach git by an askpass program.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from swarmrun.core.errors import Invalid, Problem

PREFIX: Final = "GIT_CREDENTIAL_"
SSH_KEY: Final = "ssh-privatekey"
KNOWN_HOSTS: Final = "known_hosts"
USERNAME: Final = "username"
PASSWORD: Final = "password"  # noqa: S105 — a key's name, no secret
_KEYS: Final = (SSH_KEY, KNOWN_HOSTS, USERNAME, PASSWORD)
_SCP_FORM = re.compile(r"^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:")


def take(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Remove every `GIT_CREDENTIAL_*` variable from `environ` and return the known keys with content."""
    taken = {
        name.removeprefix(PREFIX): environ.pop(name) for name in sorted(environ) if name.startswith(PREFIX)
    }
    return {key: value for key, value in taken.items() if key in _KEYS and value.strip()}


def store(credentials: Mapping[str, str], folder: Path) -> None:
    """Write the credentials as 0600 files into `folder` (made 0700).

    Raises:
        Invalid: username or password has more than one line, which git cannot take.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for key in (USERNAME, PASSWORD):
        if "\n" in credentials.get(key, "").strip("\r\n"):
            raise Invalid(
                [
                    Problem(
                        path=f"Secret key {key}",
                        value="several lines",
                        rule="must be one line",
                        fix="store the token without line breaks",
                    )
                ]
            )
    for key, value in credentials.items():
        # A key file without its last newline is refused by ssh; pasted Secrets often lack it.
        text = value.replace("\r\n", "\n").strip("\n")
        _write(folder / key, text + "\n", 0o600)
    if PASSWORD in credentials:
        _write(folder / "askpass", _ASKPASS.format(folder=shlex.quote(str(folder))), 0o700)
        if USERNAME not in credentials:
            _write(folder / USERNAME, "git\n", 0o600)


_ASKPASS: Final = """#!/bin/sh
case "$1" in
Username*) exec cat {folder}/username ;;
Password*) exec cat {folder}/password ;;
esac
exit 1
"""


def _write(path: Path, text: str, mode: int) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)


def is_ssh(url: str) -> bool:
    """Tell whether git reaches `url` by ssh."""
    return urlsplit(url).scheme == "ssh" or (_SCP_FORM.match(url) is not None)


def git_environment(folder: Path) -> dict[str, str]:
    """Return the variables by which git finds the credentials in `folder`."""
    env = {"HOME": str(folder), "GIT_SSH_COMMAND": _ssh_command(folder), "GIT_SSH_VARIANT": "ssh"}
    if (folder / "askpass").exists():
        env["GIT_ASKPASS"] = str(folder / "askpass")
    return env


def _ssh_command(folder: Path) -> str:
    given = folder / KNOWN_HOSTS
    learnt = folder / "learnt_hosts"
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
        "PasswordAuthentication": "no",
        "GlobalKnownHostsFile": os.devnull,
        "UserKnownHostsFile": str(given if given.exists() else learnt),
        "StrictHostKeyChecking": "yes" if given.exists() else "accept-new",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": str(folder / SSH_KEY) if (folder / SSH_KEY).exists() else "none",
    }
    words = ["ssh", "-F", os.devnull]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    return shlex.join(words)

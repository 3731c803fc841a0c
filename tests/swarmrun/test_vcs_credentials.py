from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from swarmrun.core.errors import Invalid
from swarmrun.vcs.credentials import git_environment, is_ssh, store, take


def test_taking_removes_every_credential_from_the_environment() -> None:
    environ = {
        "PATH": "/bin",
        "GIT_CREDENTIAL_username": "u",
        "GIT_CREDENTIAL_password": "p",
        "GIT_CREDENTIAL_known_hosts": " ",
        "GIT_CREDENTIAL_other": "x",
    }
    assert take(environ) == {"username": "u", "password": "p"}
    assert environ == {"PATH": "/bin"}


def test_files_are_for_the_owner_alone_and_a_key_ends_with_a_newline(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    store({"ssh-privatekey": "KEY\r\nBODY", "password": "p"}, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()}
    assert modes == {"ssh-privatekey": 0o600, "password": 0o600, "username": 0o600, "askpass": 0o700}
    assert (folder / "ssh-privatekey").read_text() == "KEY\nBODY\n"


def test_the_askpass_program_answers_gits_two_questions(tmp_path: Path) -> None:
    folder = tmp_path / "it's private"
    store({"username": "me", "password": "s3cret $HOME"}, folder)
    askpass = git_environment(folder)["GIT_ASKPASS"]

    def ask(prompt: str) -> str:
        return subprocess.run([askpass, prompt], capture_output=True, text=True, check=True).stdout

    assert ask("Username for 'https://host': ") == "me\n"
    assert ask("Password for 'https://me@host': ") == "s3cret $HOME\n"


def test_known_hosts_make_host_keys_strict_and_their_absence_accepts_the_first(tmp_path: Path) -> None:
    store({"ssh-privatekey": "k"}, tmp_path / "a")
    store({"ssh-privatekey": "k", "known_hosts": "host ssh-ed25519 AAAA"}, tmp_path / "b")
    assert "StrictHostKeyChecking=accept-new" in git_environment(tmp_path / "a")["GIT_SSH_COMMAND"]
    strict = git_environment(tmp_path / "b")["GIT_SSH_COMMAND"]
    assert "StrictHostKeyChecking=yes" in strict
    assert f"UserKnownHostsFile={tmp_path / 'b' / 'known_hosts'}" in strict


def test_a_password_of_several_lines_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="password: must be one line") as caught:
        store({"password": "hunter2\nhunter3"}, tmp_path)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "ssh"),
    [
        ("git@github.com:o/r.git", True),
        ("ssh://git@host:22/r.git", True),
        ("https://host/r.git", False),
        ("http://git.ns.svc/a@b:c.git", False),
    ],
)
def test_ssh_urls_are_told_from_http(url: str, ssh: bool) -> None:
    assert is_ssh(url) is ssh

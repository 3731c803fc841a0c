"""A certificate authority for tests, and the folders that server and clients are given."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

_DAYS: Final = "2"
#: An elliptic key takes milliseconds.
_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Signs certificates for 127.0.0.1."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.certificate = folder / "ca.crt"
        request = ["req", "-x509", *_NEW_KEY, "-days", _DAYS, "-subj", f"/CN={name}"]
        self._openssl(*request, "-keyout", "ca.key", "-out", "ca.crt")

    def issue(self, folder: Path, *, with_key: bool = True) -> Path:
        """Fill a folder as a Secret's mount: ca.crt and, for a server or a client, tls.crt and tls.key."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_bytes(self.certificate.read_bytes())
        if with_key:
            crt, key = str(folder / "tls.crt"), str(folder / "tls.key")
            signed = [
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-days",
                _DAYS,
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ]
            self._openssl(
                "req", "-x509", *_NEW_KEY, *signed, "-subj", "/CN=store", "-keyout", key, "-out", crt
            )
        return folder

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(
            ["openssl", *words], cwd=self._folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def tls_options(folder: Path, port: int, *, clients: str) -> tuple[str, ...]:
    """Options of redis-server. `clients`: yes demands a certificate of them."""
    files = {"ca-cert-file": "ca.crt", "cert-file": "tls.crt", "key-file": "tls.key"}
    named = [word for option, name in files.items() for word in (f"--tls-{option}", str(folder / name))]
    return ("--port", "0", "--tls-port", str(port), *named, "--tls-auth-clients", clients)

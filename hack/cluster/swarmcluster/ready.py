"""Readiness checks over the real protocols: HTTPS to the API server, a DNS query, a socket's presence."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from swarmcluster.errors import StartError
from swarmcluster.process import Process, alive
from swarmcluster.shell import tail_file
from swarmcluster.state import Cluster

POLL_SECONDS = 0.1
REQUEST_SECONDS = 5.0


def wait_until(
    check: Callable[[], bool],
    what: str,
    *,
    process: Process,
    log: Path,
    seconds: float,
) -> None:
    """Wait until `check` says yes.

    Raises:
        StartError: the deadline passed or the process ended; the message carries the log's last lines.
    """
    deadline = time.monotonic() + seconds
    while not check():
        if not alive(process):
            raise StartError(f"{what}: the process ended. Last lines of {log}:\n{tail_file(log)}")
        if time.monotonic() > deadline:
            raise StartError(f"{what}: not so after {seconds:.0f} s. Last lines of {log}:\n{tail_file(log)}")
        time.sleep(POLL_SECONDS)


class Api:
    """A small client of the API server, with the administrator's certificate and no proxy."""

    def __init__(self, cluster: Cluster) -> None:
        context = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
        context.load_cert_chain(cluster.pki / "admin.crt", cluster.pki / "admin.key")
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)
        self._url = cluster.api_url

    def get(self, path: str) -> str | None:
        """Return the body of a successful answer, else None."""
        try:
            with self._opener.open(self._url + path, timeout=REQUEST_SECONDS) as answer:
                return str(answer.read().decode())
        except (OSError, urllib.error.URLError):
            return None

    def ready(self) -> bool:
        """Say whether /readyz answers ok."""
        return self.get("/readyz") == "ok"

    def node_ready(self, node: str) -> bool:
        """Say whether the node has condition Ready=True."""
        body = self.get(f"/api/v1/nodes/{node}")
        if body is None:
            return False
        conditions = json.loads(body).get("status", {}).get("conditions", [])
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    def account_ready(self) -> bool:
        """Say whether namespace `default` has its ServiceAccount, so that pods can be created."""
        return self.get("/api/v1/namespaces/default/serviceaccounts/default") is not None


def dns_query(name: str) -> bytes:
    """Return a DNS query for the A record of `name`."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return (
        secrets.token_bytes(2)
        + bytes.fromhex("0100000100000000 0000".replace(" ", ""))
        + labels
        + b"\0\0\1\0\1"
    )


def dns_answers(server: str, name: str) -> bool:
    """Say whether the DNS server has an answer for `name`."""
    query = dns_query(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1.0)
        try:
            client.sendto(query, (server, 53))
            answer = client.recv(4096)
        except OSError:
            return False
    no_error = answer[3] & 0x0F == 0
    return answer[:2] == query[:2] and no_error and int.from_bytes(answer[6:8], "big") > 0


def socket_accepts(path: Path) -> bool:
    """Say whether a server accepts connections on the unix socket `path`."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def tcp_accepts(host: str, port: int) -> bool:
    """Say whether a server accepts connections on a TCP port."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False

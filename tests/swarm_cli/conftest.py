"""A small API server for the real kubectl: runs, ConfigMaps, merge and JSON patches."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

RUNS = "/apis/swarmrun.dev/v1alpha1/namespaces/team/swarmruns"
KINDS = {
    "swarmruns": {
        "name": "swarmruns",
        "singularName": "swarmrun",
        "namespaced": True,
        "kind": "SwarmRun",
        "shortNames": ["swr"],
        "verbs": ["get", "list", "patch"],
    },
    "configmaps": {
        "name": "configmaps",
        "singularName": "configmap",
        "namespaced": True,
        "kind": "ConfigMap",
        "verbs": ["get"],
    },
}


class ApiServer(ThreadingHTTPServer):
    """Objects by path; `patches` keeps (path, body) of every patch that was not a dry run."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, dict[str, Any]] = {}
        self.patches: list[tuple[str, Any]] = []
        self.dry_runs = 0

    def answer(self, path: str) -> Any:
        """Discovery, lists and objects."""
        group = {"groupVersion": "swarmrun.dev/v1alpha1", "version": "v1alpha1"}
        fixed: dict[str, Any] = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [{"name": "swarmrun.dev", "versions": [group], "preferredVersion": group}],
            },
            "/api/v1": _resources("v1", "configmaps"),
            "/apis/swarmrun.dev/v1alpha1": _resources("swarmrun.dev/v1alpha1", "swarmruns"),
        }
        if path in {RUNS, "/apis/swarmrun.dev/v1alpha1/swarmruns"}:
            items = [o for p, o in self.objects.items() if p.startswith(RUNS)]
            return {
                "kind": "SwarmRunList",
                "apiVersion": "swarmrun.dev/v1alpha1",
                "metadata": {},
                "items": items,
            }
        return fixed.get(path) or self.objects.get(path)


def _resources(version: str, kind: str) -> dict[str, Any]:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": [KINDS[kind]],
    }


class Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        self._send(self.server.answer(self.path.split("?")[0]))

    def do_PATCH(self) -> None:
        path, _, query = self.path.partition("?")
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        found = self.server.answer(path)
        if found and "dryRun" in query:
            self.server.dry_runs += 1
        elif found:
            self.server.patches.append((path.rsplit("/", 1)[1], body))
            found = json.loads(json.dumps(found))
            found["metadata"]["labels"] = {"patched": "yes"}
        self._send(found)

    def _send(self, value: Any) -> None:
        body = value or {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": "NotFound",
            "message": "swarmruns.swarmrun.dev not found",
            "code": 404,
        }
        data = json.dumps(body).encode()
        self.send_response(200 if value else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the signature of the base class
        """Stay quiet."""


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """The server, running."""
    server = ApiServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


@pytest.fixture
def kubeconfig(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kubeconfig for it, as a file path; kubectl's caches stay in the test's folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "cache"))
    file = tmp_path / "kubeconfig"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{api.server_port}"}}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
            }
        )
    )
    return str(file)

"""The Kubernetes API as about ten methods on plain dicts, by server-side apply.

KubeError
├── NotFound      the object or its kind is not there
├── Conflict      somebody else was faster; read again
├── Forbidden     a permission is missing, or a quota or policy refused the object
├── InvalidObject the API server refused the object's content
└── Unavailable   the API server is not there, or busy; `after` says how long to wait
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp

from swarm_operator.connection import CALL_TIMEOUT, Connection
from swarmrun.core.api_base import API_VERSION

Json = dict[str, Any]

FIELD_MANAGER: Final = "swarmrun-operator"
#: Objects per page of a list.
PAGE: Final = 500
#: Pages after which a list is given up: half a million objects are nobody's intent.
MAX_PAGES: Final = 1000

#: Plural of every kind we touch, by (apiVersion, kind).
PLURALS: Final[Mapping[tuple[str, str], str]] = {
    (API_VERSION, "SwarmRun"): "swarmruns",
    (API_VERSION, "SwarmEscalation"): "swarmescalations",
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "Secret"): "secrets",
    ("v1", "Service"): "services",
    ("v1", "Pod"): "pods",
    ("apps/v1", "Deployment"): "deployments",
    ("networking.k8s.io/v1", "NetworkPolicy"): "networkpolicies",
    ("events.k8s.io/v1", "Event"): "events",
}

_JSON: Final = "application/json"
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_CONFLICT: Final = 409
_BUSY: Final = frozenset({429})
_INVALID: Final = frozenset({400, 413, 415, 422})
_ERRORS: Final = 400
_SERVER: Final = 500


class KubeError(Exception):
    """Base of all errors of this port. `reason` is the API's own word."""

    def __init__(self, message: str, *, reason: str = "", after: float = 0.0) -> None:
        super().__init__(message)
        self.message, self.reason, self.after = message, reason, after


class NotFoundError(KubeError):
    """The object or its kind is not there."""


class ConflictError(KubeError):
    """Somebody else was faster, or the object exists."""


class ForbiddenError(KubeError):
    """A permission is missing, or a policy or quota refused."""


class InvalidObjectError(KubeError):
    """The API server refused the content."""


class UnavailableError(KubeError):
    """The API server is not there, or asks to come back later."""


@dataclass(frozen=True)
class Ref:
    """Names one object."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Ref:
        """Name the object that a manifest describes."""
        meta = manifest["metadata"]
        return cls(manifest["apiVersion"], manifest["kind"], meta["namespace"], meta["name"])


class Kube(Protocol):
    """What the operator asks of a cluster. Every method may raise a `KubeError`."""

    async def get(self, ref: Ref) -> Json | None:
        """Read an object; None when it is not there."""

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        *,
        labels: str = "",
        metadata_only: bool = False,
    ) -> Sequence[Json]:
        """Read all objects of a kind with these labels, or only their metadata; all namespaces for None."""

    async def apply(self, manifest: Json) -> Json:
        """Create or change an object by server-side apply; our fields win."""

    async def apply_status(self, manifest: Json) -> Json:
        """Change an object's status by server-side apply; NotFoundError when the object is gone."""

    async def patch(self, ref: Ref, body: Json) -> Json:
        """Merge a patch into an object."""

    async def delete(self, ref: Ref, *, uid: str = "") -> bool:
        """Delete an object in the background, of this uid if given; False when it was gone."""

    async def create(self, manifest: Json) -> Json:
        """Create an object; ConflictError when it exists."""

    async def raw(self, path: str) -> Json:
        """Read a document of the API server, such as its OpenAPI."""


def object_path(api_version: str, kind: str, namespace: str | None, name: str = "") -> str:
    """Build the URL path of an object or a collection."""
    root = "/apis/" if "/" in api_version else "/api/"
    where = f"/namespaces/{namespace}" if namespace else ""
    tail = f"/{name}" if name else ""
    return f"{root}{api_version}{where}/{PLURALS[api_version, kind]}{tail}"


def error_of(status: int, body: str, retry_after: str = "") -> KubeError:
    """Map an answer of the API server to our hierarchy."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    reason = str(answer.get("reason") or "")
    message = str(answer.get("message") or body)[:1000] or f"HTTP {status}"
    if status == _NOT_FOUND:
        return NotFoundError(message, reason=reason)
    if status == _FORBIDDEN:
        return ForbiddenError(message, reason=reason)
    if status == _CONFLICT:
        return ConflictError(message, reason=reason)
    if status in _INVALID:
        return InvalidObjectError(message, reason=reason)
    if status in _BUSY or status >= _SERVER:
        after = float(retry_after) if retry_after.isdigit() else 0.0
        return UnavailableError(message, reason=reason, after=min(after, 60.0))
    return KubeError(message, reason=reason)


class HttpKube:
    """The port over the session that Kopf uses too."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, ref: Ref) -> Json | None:
        """Read an object; None when it is not there."""
        try:
            return await self._call("GET", object_path(ref.api_version, ref.kind, ref.namespace, ref.name))
        except NotFoundError:
            return None

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        *,
        labels: str = "",
        metadata_only: bool = False,
    ) -> Sequence[Json]:
        """Read all objects of a kind, in pages."""
        path = object_path(api_version, kind, namespace)
        found: list[Json] = []
        token, accept = "", _METADATA if metadata_only else _JSON
        for _ in range(MAX_PAGES):
            query = {"limit": str(PAGE), "labelSelector": labels, "continue": token}
            answer = await self._call("GET", path, query={k: v for k, v in query.items() if v}, accept=accept)
            found += answer.get("items") or []
            token = (answer.get("metadata") or {}).get("continue") or ""
            if not token:
                return found
        raise UnavailableError(f"list of {path} has more than {MAX_PAGES} pages")

    async def apply(self, manifest: Json) -> Json:
        """Create or change an object by server-side apply."""
        return await self._apply(manifest, "")

    async def apply_status(self, manifest: Json) -> Json:
        """Change an object's status by server-side apply."""
        return await self._apply(manifest, "/status")

    async def patch(self, ref: Ref, body: Json) -> Json:
        """Merge a patch into an object."""
        path = object_path(ref.api_version, ref.kind, ref.namespace, ref.name)
        query = {"fieldManager": FIELD_MANAGER}
        return await self._call("PATCH", path, body=body, query=query, kind="application/merge-patch+json")

    async def delete(self, ref: Ref, *, uid: str = "") -> bool:
        """Delete an object in the background; False when it was gone, or another of its name is there."""
        path = object_path(ref.api_version, ref.kind, ref.namespace, ref.name)
        body: Json = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", path, body=body)
        except (NotFoundError, ConflictError):
            return False
        return True

    async def create(self, manifest: Json) -> Json:
        """Create an object; ConflictError when it exists."""
        ref = Ref.of(manifest)
        path = object_path(ref.api_version, ref.kind, ref.namespace)
        return await self._call("POST", path, body=manifest, query={"fieldManager": FIELD_MANAGER})

    async def raw(self, path: str) -> Json:
        """Read a document of the API server."""
        return await self._call("GET", path)

    async def _apply(self, manifest: Json, subresource: str) -> Json:
        ref = Ref.of(manifest)
        path = object_path(ref.api_version, ref.kind, ref.namespace, ref.name) + subresource
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._call(
            "PATCH", path, body=manifest, query=query, kind="application/apply-patch+yaml"
        )

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        kind: str = _JSON,
        accept: str = _JSON,
    ) -> Json:
        session = self._connection.session
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Accept": accept} | ({} if data is None else {"Content-Type": kind})
        try:
            async with session.request(
                method,
                self._connection.server + path,
                data=data,
                params=query,
                headers=headers,
                timeout=CALL_TIMEOUT,
            ) as response:
                text = await response.text()
                if response.status >= _ERRORS:
                    raise error_of(response.status, text, response.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"{method} {path}: {type(error).__name__}") from error
        answer = json.loads(text)
        return answer if isinstance(answer, dict) else {}

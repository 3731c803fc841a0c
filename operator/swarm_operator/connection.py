"""The HTTP session to the API server: one for Kopf's watches and for our own calls.

In a cluster the service account's token is read anew from its file, because the kubelet rotates it; elsewhere
KUBECONFIG says who we are. No client library: each one installed costs 20 to 50 MB of memory.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import kopf

TOKEN_PATH: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
#: Seconds a token read from the file is used; the kubelet renews it at 80 % of an hour.
TOKEN_AGE: Final = 60.0
#: Seconds for one of our own calls. Kopf sets its own timeouts for watches.
CALL_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=10)


class NoClusterError(Exception):
    """Neither a service account nor KUBECONFIG is there."""


@dataclass
class _FileToken:
    """Middleware that sets the bearer token from the service account's file."""

    path: Path = TOKEN_PATH
    _token: str = ""
    _read_at: float = -TOKEN_AGE

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        now = time.monotonic()
        if now - self._read_at >= TOKEN_AGE:
            self._token, self._read_at = self.path.read_text().strip(), now
        request.headers["Authorization"] = f"Bearer {self._token}"
        return await handler(request)


def _credentials() -> tuple[kopf.ConnectionInfo, bool]:
    """Return how to connect, and whether the token comes from the service account's file."""
    settings = kopf.OperatorSettings()
    if (account := kopf.login_with_service_account(settings=settings)) is not None:
        return account, True
    if (config := kopf.login_with_kubeconfig(settings=settings)) is not None:
        return config, False
    raise NoClusterError(
        "found neither a service account nor a kubeconfig; run in a pod, or set KUBECONFIG to a file"
    )


@dataclass
class Connection:
    """Holds the present session. Kopf closes a session that was refused, so it may be renewed."""

    server: str = ""
    default_namespace: str | None = None
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the open session, renewing it when Kopf has closed it."""
        if self._session is None or self._session.closed:
            self._session = self._open()
        return self._session

    def _open(self) -> aiohttp.ClientSession:
        info, from_file = _credentials()
        self.server, self.default_namespace = info.server.rstrip("/"), info.default_namespace
        options: dict[str, Any] = {"middlewares": (_FileToken(),)} if from_file else {}
        headers = {"User-Agent": "swarmrun-operator", **({} if from_file else info.as_http_headers())}
        # No limit: every watch holds a connection for good, and our own calls are bounded by the workers.
        connector = aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context(), keepalive_timeout=120)
        return aiohttp.ClientSession(
            connector=connector, headers=headers, proxy=info.proxy_url, trust_env=info.trust_env, **options
        )

    def for_kopf(self) -> kopf.AiohttpSession:
        """Hand the session to Kopf; the answer of its login handler."""
        session = self.session
        return kopf.AiohttpSession(
            server=self.server, default_namespace=self.default_namespace, aiohttp_session=session
        )

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

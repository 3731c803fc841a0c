"""Keep a node's iptables as its NetworkPolicies say: look twice a second, write what changed."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time
from typing import Any

from swarmcluster import policy
from swarmcluster.errors import CommandError
from swarmcluster.shell import run, succeeds
from swarmcluster.state import Cluster

INTERVAL_SECONDS = 0.5
REQUEST_SECONDS = 10.0
IPTABLES = ("iptables", "-w", "10")
# INPUT: from pods to the node itself, such as the API server. The node's own packets to pods (probes) pass.
HOOKS = (("FORWARD", "SWARMRUN-INGRESS"), ("FORWARD", "SWARMRUN-EGRESS"), ("INPUT", "SWARMRUN-EGRESS"))
PATHS = {
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
}
Json = dict[str, Any]


class Lister:
    """Lists objects over one kept connection."""

    def __init__(self, cluster: Cluster) -> None:
        context = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
        context.load_cert_chain(cluster.pki / "admin.crt", cluster.pki / "admin.key")
        self._connection = http.client.HTTPSConnection(
            cluster.api_host, cluster.ports.api, timeout=REQUEST_SECONDS, context=context
        )

    def items(self, path: str) -> list[Json]:
        """Return the objects at `path`, from the API server's cache.

        Raises:
            OSError: no answer, or one that is not 200.
        """
        try:
            self._connection.request("GET", f"{path}?resourceVersion=0")
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise OSError(f"{path}: {error!r}") from error
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"{path}: status {answer.status}")
        items: list[Json] = json.loads(body)["items"]
        return items


def wanted_rules(lister: Lister) -> str:
    """Return the rules that the API's present objects ask for."""
    found = {name: lister.items(path) for name, path in PATHS.items()}
    spaces = {item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in found["namespaces"]}
    return policy.render(found["policies"], policy.World(policy.pods_of(found["pods"]), spaces))


def _remove_stale(text: str) -> None:
    """Delete the chains of pods that are gone; nothing refers to them any more."""
    declared = {line[1:].split()[0] for line in text.splitlines() if line.startswith(":")}
    for line in run([*IPTABLES, "-S"]).splitlines():
        words = line.split()
        if words[0] == "-N" and words[1].startswith(("SWRI-", "SWRE-")) and words[1] not in declared:
            run([*IPTABLES, "-F", words[1]])
            run([*IPTABLES, "-X", words[1]])


def apply(text: str) -> None:
    """Replace the rules in one transaction and make sure that packets pass them first."""
    run(["iptables-restore", "--noflush", "-w", "10"], stdin=text)
    for hook, chain in HOOKS:
        rules = run([*IPTABLES, "-S", hook]).splitlines()[1 : 1 + len(HOOKS)]
        if f"-A {hook} -j {chain}" not in rules:
            if succeeds([*IPTABLES, "-C", hook, "-j", chain]):
                run([*IPTABLES, "-D", hook, "-j", chain])
            run([*IPTABLES, "-I", hook, "-j", chain])
    _remove_stale(text)


def enforce(cluster: Cluster) -> None:
    """Enforce until the process is ended; an API server that is away changes nothing."""
    lister = Lister(cluster)
    applied = ""
    complaint = ""
    while True:
        try:
            wanted = wanted_rules(lister)
            if wanted != applied:
                apply(wanted)
                applied = wanted
            complaint = ""
        except (OSError, CommandError) as error:
            if str(error) != complaint:
                complaint = str(error)
                print(f"waiting: {complaint}", file=sys.stderr, flush=True)
        time.sleep(INTERVAL_SECONDS)

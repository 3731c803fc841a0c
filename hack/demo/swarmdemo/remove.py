"""python -m swarmdemo.remove: takes out of the cluster of KUBECONFIG what demo and tests have put there."""

from __future__ import annotations

import os
import sys

from swarmcluster.errors import ClusterError
from swarmcluster.progress import say, step
from swarmdemo import given, install, target
from swarmdemo.settings import LABEL, RELEASE, SYSTEM_NAMESPACE
from swarmdemo.shell import CannotStartError, DemoError, Tools

CRDS = ("swarmruns.swarmrun.dev", "swarmescalations.swarmrun.dev")


def remove(tools: Tools) -> None:
    """Delete the demo's runs and namespaces, then the operator, then the CRDs.

    The order matters: only the operator lets runs go. Namespaces without the demo's label are left alone, and
    as long as one of them holds a run, so are the operator and the CRDs.

    Raises:
        DemoError: something did not go in time, or runs of others are left.
    """
    marked = tools.kubectl("get", "namespaces", "-l", f"{LABEL}=true", "-o", "name").split()
    names = [name.removeprefix("namespace/") for name in marked]
    for name in names:
        if name != SYSTEM_NAMESPACE:
            install.remove_namespace(tools, name)
    left = tools.kubectl(
        *("get", "swarmruns", "-A", "-o", r'jsonpath={range .items[*]}{.metadata.namespace}{"\n"}{end}'),
        check=False,
    )
    if left.strip():
        raise DemoError(
            f"runs are left in {', '.join(sorted(set(left.split())))}: the operator stays until they are "
            "deleted (`kubectl -n NAMESPACE delete swarmruns --all`)"
        )
    if SYSTEM_NAMESPACE in names:
        _operator(tools)
    say("nothing of the demo is left in the cluster; its images stay in your registry or nodes")


def _operator(tools: Tools) -> None:
    with step("uninstall the operator and its CRDs"):
        tools.run(
            ["helm", "uninstall", RELEASE, "-n", SYSTEM_NAMESPACE, "--ignore-not-found", "--wait"],
            timeout=180,
        )
        tools.kubectl("delete", "namespace", SYSTEM_NAMESPACE, "--timeout=120s", timeout=150)
        tools.kubectl("delete", "crd", *CRDS, "--ignore-not-found", "--timeout=60s")


def main() -> int:
    """Remove, and turn expected failures into one message."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        say("KUBECONFIG is not set: `make clean-cluster` removes the node that the demo started itself")
        return 2
    try:
        tools = target.tools_for(kubeconfig)
        facts = given.gather(kubeconfig, tools, ())
        if wrong := given.wrong_configuration(facts) or given.wrong_server(facts):
            raise CannotStartError(wrong)
        remove(tools)
    except (DemoError, ClusterError) as error:
        say(f"\n✗ {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

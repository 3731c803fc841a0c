"""One real node with the operator for all tests of this folder; each module has its own namespace.

With KUBECONFIG it is that cluster. What the tests put there stays until `make demo-remove`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from swarmcluster import api
from swarmdemo import install, target
from swarmdemo.settings import Settings

#: Another cluster of hack/cluster to test on. It is left running, so that the next test run starts at once.
CLUSTER_VARIABLE = "SWARMRUN_E2E_CLUSTER"


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        example="notes-api",
        namespace="swarmrun-e2e",
        agents=3,
        cluster=os.environ.get(CLUSTER_VARIABLE, "e2e"),
        timeout_seconds=900,
        output=tmp_path_factory.mktemp("e2e"),
    )


@pytest.fixture(scope="session")
def where(settings: Settings) -> Iterator[target.Target]:
    prepared = target.prepare(settings)
    try:
        install.install_operator(prepared)
        yield prepared
    finally:
        if prepared.own and CLUSTER_VARIABLE not in os.environ:
            api.stop(settings.cluster)

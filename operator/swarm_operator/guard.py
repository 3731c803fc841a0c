"""What must hold before the operator starts; each refusal says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from swarm_operator.kube import Kube, NotFoundError
from swarmrun.core.api_base import VERSION
from swarmrun.core.crd import relied_fields, swarmescalation_crd, swarmrun_crd

_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_HOW: Final = "apply the crds/ of this release (helm upgrade does it), then restart the operator"


class RefusedError(Exception):
    """The operator must not start; the message says why and what to do."""


def _schema(crd: Mapping[str, Any]) -> dict[str, Any]:
    for entry in crd["spec"]["versions"]:
        if entry["name"] == VERSION and entry["served"]:
            return dict(entry["schema"]["openAPIV3Schema"])
    return {}


def missing_fields(wanted: Mapping[str, Any], served: Mapping[str, Any]) -> list[str]:
    """List the fields that we rely on and the served CRD lacks: the API server would drop them silently."""
    return sorted(relied_fields(_schema(wanted)) - relied_fields(_schema(served)))


async def check_crds(kube: Kube) -> None:
    """Compare the served CRDs with the models.

    Raises:
        RefusedError: a CRD is not there, or lacks fields.
    """
    for wanted in (swarmrun_crd(), swarmescalation_crd()):
        name = wanted["metadata"]["name"]
        try:
            served = await kube.raw(f"{_CRDS}/{name}")
        except NotFoundError as error:
            raise RefusedError(f"CRD {name} is not installed; {_HOW}") from error
        if missing := missing_fields(wanted, served):
            listed = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")  # noqa: PLR2004 — ten fit a line
            raise RefusedError(f"CRD {name} lacks fields that this operator relies on: {listed}; {_HOW}")

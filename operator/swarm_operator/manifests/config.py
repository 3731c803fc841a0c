"""ConfigMap `<run>-config`: the run's configuration as its pods read it. It holds no secret."""

from __future__ import annotations

from swarm_operator.manifests.build import PORT_API, PORT_SANDBOX, Blueprint, Json, metadata
from swarm_operator.names import child
from swarmrun.runconfig import GateOverrides, RunConfig
from swarmrun.specmodels import models_of, provider_of


def run_config(b: Blueprint) -> RunConfig:
    """Translate the spec into what hub, merger and agents read."""
    spec, gates = b.spec, b.spec.gates

    def url(suffix: str, port: int) -> str:
        return f"http://{child(b.run, suffix)}.{b.namespace}.svc:{port}"

    coverage: float | None = gates.coverage_percent if gates else None
    return RunConfig(
        namespace=b.namespace,
        name=b.run,
        uid=b.uid,
        project_name=b.project_name,
        profile=b.profile,
        plan_hash=b.plan_hash,
        provider=provider_of(spec),
        models=models_of(spec),
        repository_url=spec.repository.url,
        branch=spec.repository.branch,
        max_attempts=spec.max_attempts,
        task_timeout_seconds=spec.task_timeout_seconds,
        gates=GateOverrides(
            commands=tuple(gates.commands) if gates else (),
            coverage_percent=b.coverage_percent if coverage is None else coverage,
        ),
        hub_url=url("hub", PORT_API),
        merger_url=url("merger", PORT_API),
        gates_url=url("gates", PORT_SANDBOX),
    )


def config_map(b: Blueprint) -> Json:
    """Build the ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(b, "config"),
        "data": {"run.json": run_config(b).model_dump_json(indent=1)},
    }

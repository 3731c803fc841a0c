"""Every pod that the operator makes meets the restricted profile, and holds only what it needs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from operator_support import PLATFORM, SPEC, TOKENS, task
from swarm_operator.manifests.build import TOKENS_DIR, Blueprint, sealed
from swarm_operator.manifests.config import run_config
from swarm_operator.manifests.escalation import escalation
from swarm_operator.names import APPLIED_HASH, escalation_name
from swarm_operator.provision import deployments, unwatched
from swarmrun.core.api import SwarmRunSpec
from swarmrun.core.task import TASK_ID_PATTERN, TaskState
from swarmrun.runconfig import RunConfig

Json = dict[str, Any]


def blueprint(**spec: Any) -> Blueprint:
    return Blueprint(
        platform=PLATFORM,
        namespace="team",
        run="todo",
        uid="uid-1",
        spec=SwarmRunSpec.model_validate({**SPEC, **spec}),
        project_name="Todo",
        profile="express-typescript",
        plan_hash="a" * 64,
        coverage_percent=80.0,
        tokens=TOKENS,
    )


def pods(b: Blueprint) -> dict[str, Json]:
    built = deployments(b, 3, "h")
    return {name.removeprefix("todo-"): d["spec"]["template"]["spec"] for name, d in built.items()}


def containers(pod: Json) -> Iterator[Json]:
    yield from [*pod.get("initContainers", []), *pod["containers"]]


VARIANTS: list[Json] = [
    {},
    {"sandbox": {"image": "team/toolchain:3"}},
    {"agents": {"runtimeClassName": "gvisor"}},
]


@pytest.mark.parametrize("spec", VARIANTS)
def test_every_container_meets_pod_security_restricted(spec: Json) -> None:
    for pod in pods(blueprint(**spec)).values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & pod.keys()
        assert {kind for v in pod["volumes"] for kind in v} <= {"name", "emptyDir", "configMap", "secret"}
        assert all("sizeLimit" in v["emptyDir"] for v in pod["volumes"] if "emptyDir" in v)
        for container in containers(pod):
            security = container["securityContext"]
            assert security["runAsNonRoot"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["imagePullPolicy"] == "IfNotPresent"
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
            mounted = {m["name"] for m in container["volumeMounts"]}
            assert mounted <= {v["name"] for v in pod["volumes"]}


def test_only_the_hub_sees_the_providers_key_and_only_the_merger_the_git_credential() -> None:
    text = {name: json.dumps(pod) for name, pod in pods(blueprint()).items()}
    assert [n for n, t in text.items() if '"openai"' in t] == ["hub"]
    assert [n for n, t in text.items() if '"deploy-key"' in t] == ["merger"]
    hub = pods(blueprint())["hub"]["containers"][0]
    key = next(e for e in hub["env"] if e["name"] == "SWARM_PROVIDER_API_KEY")
    assert key["valueFrom"]["secretKeyRef"] == {"name": "openai", "key": "api-key"}


def test_the_fallbacks_key_goes_to_the_hub_alone_and_its_endpoint_into_the_configuration() -> None:
    fallback = {
        "type": "OpenAI",
        "baseURL": "https://second.example/v1",
        "credentialsSecretRef": {"name": "second"},
        "models": {"gpt-4-turbo": "big"},
        "prices": [{"model": "big", "inputUSD": 1, "outputUSD": 2}],
    }
    price = {"model": "own", "inputUSD": 3, "outputUSD": 4}
    b = blueprint(provider={"type": "OpenAI", "prices": [price], "fallback": fallback})
    assert [n for n, pod in pods(b).items() if '"second"' in json.dumps(pod)] == ["hub"]
    key = next(
        e for e in pods(b)["hub"]["containers"][0]["env"] if e["name"] == "SWARM_PROVIDER_FALLBACK_API_KEY"
    )
    assert key["valueFrom"]["secretKeyRef"] == {"name": "second", "key": "api-key"}
    config = run_config(b).provider.fallback
    assert config is not None
    assert (config.base_url, config.models) == ("https://second.example/v1", {"gpt-4-turbo": "big"})
    assert [p.model for p in config.prices] == ["big", "own"]


def test_containers_that_run_the_projects_code_hold_no_token_and_no_configuration() -> None:
    built = pods(blueprint())
    sandbox = next(c for c in built["agents"]["containers"] if c["name"] == "sandbox")
    for container in (sandbox, built["gates"]["containers"][0]):
        assert {m["name"] for m in container["volumeMounts"]} & {"tokens", "config"} == set()
        assert {e["name"] for e in container["env"]} <= {
            "SANDBOX_LISTEN",
            "SANDBOX_WORK_DIR",
            "SANDBOX_MAX_PARALLEL",
        }
        assert container["securityContext"]["runAsUser"] == 10002
    items = next(v for v in built["agents"]["volumes"] if v["name"] == "tokens")["secret"]["items"]
    assert [i["key"] for i in items] == ["agent-token"]


def test_a_foreign_toolchain_image_gets_the_runner_from_ours() -> None:
    gates = pods(blueprint(sandbox={"image": "team/toolchain:3"}))["gates"]
    assert gates["initContainers"][0]["image"] == PLATFORM.agent_image
    container = gates["containers"][0]
    assert container["image"] == "team/toolchain:3"
    assert container["command"] == ["python3", "-m", "swarm_sandbox"]


def test_no_secret_stands_in_the_configuration_and_the_pods_can_read_it() -> None:
    config = next(m for m in unwatched(blueprint()) if m["kind"] == "ConfigMap")
    parsed = RunConfig.model_validate_json(config["data"]["run.json"])
    assert parsed == run_config(blueprint())
    assert parsed.hub_url == "http://todo-hub.team.svc:8080"
    assert parsed.gates.coverage_percent == 80.0
    assert not any(t in config["data"]["run.json"] for t in ("t1", "t2", "t3"))


def test_gates_reach_nothing_and_agents_reach_hub_and_merger_only() -> None:
    policies = {
        m["metadata"]["name"]: m["spec"] for m in unwatched(blueprint()) if m["kind"] == "NetworkPolicy"
    }
    assert policies["todo-gates"]["egress"] == []
    peers = [r["to"] for r in policies["todo-agents"]["egress"] if "to" in r]
    components = [p["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for (p,) in peers]
    assert components == ["hub", "merger"]
    assert policies["todo-agents"]["ingress"] == []
    assert all(p["policyTypes"] == ["Ingress", "Egress"] for p in policies.values())


def test_all_children_belong_to_the_run() -> None:
    b = blueprint()
    for manifest in [*unwatched(b), *deployments(b, 3, "h").values()]:
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("SwarmRun", "uid-1", True)
        assert manifest["metadata"]["labels"]["swarmrun.dev/run"] == "todo"


def test_a_change_of_the_configuration_rolls_the_pods_that_read_it_and_no_others() -> None:
    def hashes(b: Blueprint) -> dict[str, str]:
        return {
            n: d["spec"]["template"]["metadata"]["annotations"]["swarmrun.dev/config-hash"]
            for n, d in deployments(b, 3, "h").items()
        }

    before, after = hashes(blueprint()), hashes(blueprint(model="gpt-5"))
    assert {n for n in before if before[n] != after[n]} == {"todo-hub", "todo-agents", "todo-merger"}


def test_the_number_of_agents_changes_the_agents_hash_alone() -> None:
    b = blueprint()
    three, four = deployments(b, 3, "h"), deployments(b, 4, "h")
    changed = {
        n
        for n in three
        if three[n]["metadata"]["annotations"][APPLIED_HASH]
        != four[n]["metadata"]["annotations"][APPLIED_HASH]
    }
    assert changed == {"todo-agents"}


def test_sealing_twice_gives_the_same_hash() -> None:
    manifest = unwatched(blueprint())[0]
    assert sealed(manifest) == sealed(manifest)


def test_a_wish_for_resources_wins_over_the_default() -> None:
    wish = {"resources": {"requests": {"memory": "1Gi"}}, "sandboxResources": {"limits": {"memory": "8Gi"}}}
    worker, sandbox = pods(blueprint(agents=wish))["agents"]["containers"]
    assert worker["resources"]["requests"]["memory"] == "1Gi"
    assert "memory" not in worker["resources"]["limits"] or worker["resources"]["limits"]["memory"] != "512Mi"
    assert sandbox["resources"]["limits"]["memory"] == "8Gi"


@pytest.mark.parametrize("task_id", ["scaffold", "users.get-api-users-id", "x" * 120, "a.b", "a-b"])
def test_names_of_escalations_fit_and_stay_apart(task_id: str) -> None:
    names = {escalation_name("r" * 40, task_id, n) for n in (1, 2, 12)}
    assert len(names) == 3
    assert all(len(n) <= 63 and not n.endswith("-") for n in names)
    assert escalation_name("todo", "a.b", 1) != escalation_name("todo", "a-b", 1)
    assert TASK_ID_PATTERN


def test_evidence_is_bounded() -> None:
    view = task("t", TaskState.BLOCKED, failures=12)
    long = view.failures[0].model_copy(update={"output": "o" * 16_000, "message": "m" * 1000})
    manifest = escalation("team", "todo", "uid-1", view.model_copy(update={"failures": (long,) * 12}), 1)
    evidence = manifest["spec"]["evidence"]
    assert len(evidence) == 10
    assert all(len(e) <= 4000 for e in evidence)


def test_hub_and_merger_get_what_the_store_s_connection_needs_and_nobody_else() -> None:
    files = {"ca.crt": "authority", "sentinel-password": "secret"}
    platform = replace(PLATFORM, redis_url="rediss+sentinel://a/mymaster", redis_files=files)
    b = replace(blueprint(), platform=platform)
    for name, pod in pods(b).items():
        env = {e["name"]: e.get("value") for c in containers(pod) for e in c.get("env", [])}
        talks = name in {"hub", "merger"}
        assert (env.get("REDIS_URL") == platform.redis_url) is talks
        assert (env.get("SWARM_REDIS_TLS_DIR") == TOKENS_DIR) is talks
        assert (env.get("SWARM_REDIS_SENTINEL_PASSWORD_FILE") == f"{TOKENS_DIR}/sentinel-password") is talks
        mounted = [i["key"] for v in pod["volumes"] for i in v.get("secret", {}).get("items", [])]
        assert (set(files) <= set(mounted)) is talks
        assert (not set(files) & set(mounted)) is not talks
    (tokens,) = [m for m in unwatched(b) if m["kind"] == "Secret"]
    assert base64.b64decode(tokens["data"]["ca.crt"]) == b"authority"


def test_without_files_no_variable_speaks_of_them() -> None:
    for pod in pods(blueprint()).values():
        names = {e["name"] for c in containers(pod) for e in c.get("env", [])}
        assert not names & {"SWARM_REDIS_TLS_DIR", "SWARM_REDIS_SENTINEL_PASSWORD_FILE"}

"""What is measured is valid, and what it is compared with has the same shape."""

from __future__ import annotations

from swarmbench.memory import resident
from swarmbench.objects import same_shape, sleeper, tiny_run
from swarmbench.wholerun import dependencies
from swarmdemo.settings import Settings
from swarmrun.core.api import SwarmRunSpec

AGENTS = {
    "metadata": {"name": "notes-agents", "namespace": "bench", "uid": "1"},
    "spec": {
        "replicas": 3,
        "template": {
            "metadata": {"labels": {"swarmrun.dev/run": "notes"}},
            "spec": {
                "securityContext": {"runAsNonRoot": True},
                "terminationGracePeriodSeconds": 30,
                "containers": [
                    {
                        "name": "worker",
                        "image": "agent:1",
                        "args": ["-m", "swarm_agent"],
                        "resources": {"x": 1},
                    },
                    {
                        "name": "sandbox",
                        "image": "agent:1",
                        "readinessProbe": {},
                        "volumeMounts": [{"name": "work"}],
                    },
                ],
                "volumes": [
                    {"name": "config", "configMap": {"name": "notes-config"}},
                    {"name": "work", "emptyDir": {"sizeLimit": "4Gi"}},
                ],
            },
        },
    },
}


def test_the_tiny_run_is_valid_and_has_a_plan() -> None:
    run = tiny_run(Settings(example="notes-api"), "bench", "tiny-1")
    assert run["metadata"] == {"name": "tiny-1", "namespace": "bench"}
    assert SwarmRunSpec.model_validate(run["spec"]).num_agents == 1
    assert "api.notes.create" in dependencies(run["spec"]["project"])


def test_pods_of_the_same_shape_keep_containers_and_leave_out_what_belongs_to_the_run() -> None:
    built = same_shape(AGENTS, "same")
    pod = built["spec"]["template"]["spec"]
    assert built["spec"]["replicas"] == 3
    assert built["metadata"] == {
        "name": "same",
        "namespace": "bench",
        "labels": {"app.kubernetes.io/name": "same"},
    }
    assert [c["image"] for c in pod["containers"]] == ["agent:1", "agent:1"]
    assert all("args" not in c and "readinessProbe" not in c for c in pod["containers"])
    assert pod["volumes"] == [
        {"name": "config", "emptyDir": {}},
        {"name": "work", "emptyDir": {"sizeLimit": "4Gi"}},
    ]
    assert (
        built["spec"]["selector"]["matchLabels"].items()
        <= built["spec"]["template"]["metadata"]["labels"].items()
    )


def test_the_anchor_is_selected_by_its_own_label_only() -> None:
    built = sleeper("bench", "hand-1", "image:1")
    assert built["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": "hand-1"}


def test_memory_is_read_for_the_chosen_namespaces_and_only_where_the_kubelet_knows_it() -> None:
    def pod(namespace: str, name: str, memory: dict[str, int]) -> dict[str, object]:
        return {"podRef": {"namespace": namespace}, "containers": [{"name": name, "memory": memory}]}

    summary = {
        "pods": [
            pod("bench", "hub", {"rssBytes": 7, "workingSetBytes": 9}),
            pod("bench", "starting", {}),
            pod("kube-system", "coredns", {"rssBytes": 5}),
        ]
    }
    assert list(resident(summary, frozenset({"bench"}))) == [("hub", 7)]

"""NetworkPolicies as rules: what is not allowed is rejected, in both directions."""

from typing import Any

import pytest

from swarmcluster.policy import Pod, World, block_networks, pods_of, render, selects

WEB = Pod("a", "web", "10.244.0.2", {"app": "web"}, {"http": 8080})
DB = Pod("a", "db", "10.244.0.3", {"app": "db"}, {})
DNS = Pod("kube-system", "dns", "10.244.0.4", {"k8s-app": "kube-dns"}, {})
WORLD = World([WEB, DB, DNS], {"a": {}, "kube-system": {"kubernetes.io/metadata.name": "kube-system"}})


def rules_of(spec: dict[str, Any]) -> list[str]:
    text = render([{"metadata": {"namespace": "a", "name": "p"}, "spec": spec}], WORLD)
    return [line for line in text.splitlines() if line.startswith(("-A SWRI-", "-A SWRE-"))]


def bodies(spec: dict[str, Any]) -> list[str]:
    return [line.split(" ", 2)[2] for line in rules_of(spec)]


def test_without_a_policy_no_pod_is_touched() -> None:
    assert "-j REJECT" not in render([], WORLD)


def test_an_empty_policy_cuts_the_selected_pods_of_its_namespace_off() -> None:
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert bodies(spec) == ["-j REJECT"] * 4


def test_egress_is_isolated_only_when_the_policy_speaks_of_it() -> None:
    assert all(line.startswith("-A SWRI-") for line in rules_of({"podSelector": {}}))
    with_egress = rules_of({"podSelector": {}, "egress": [{}]})
    assert {line[:8] for line in with_egress} == {"-A SWRI-", "-A SWRE-"}


def test_an_allowed_peer_and_port_return_before_the_rejection() -> None:
    spec = {
        "podSelector": {"matchLabels": {"app": "web"}},
        "policyTypes": ["Egress"],
        "egress": [
            {"to": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": 5432}]},
            {
                "to": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                    }
                ],
                "ports": [{"protocol": "UDP", "port": 53}],
            },
        ],
    }
    assert bodies(spec) == [
        "-d 10.244.0.3/32 -p tcp --dport 5432 -j RETURN",
        "-d 10.244.0.4/32 -p udp --dport 53 -j RETURN",
        "-j REJECT",
    ]


def test_a_named_port_is_the_target_pods_and_a_range_is_a_range() -> None:
    spec = {
        "podSelector": {"matchLabels": {"app": "web"}},
        "ingress": [{"ports": [{"port": "http"}, {"port": "absent"}, {"port": 9000, "endPort": 9009}]}],
    }
    assert bodies(spec) == [
        "-s 0.0.0.0/0 -p tcp --dport 8080 -j RETURN",
        "-s 0.0.0.0/0 -p tcp --dport 9000:9009 -j RETURN",
        "-j REJECT",
    ]


def test_a_selector_without_a_match_allows_nobody() -> None:
    spec = {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "none"}}}]}]}
    assert bodies(spec) == ["-j REJECT", "-j REJECT"]


def test_exceptions_of_a_block_are_holes() -> None:
    assert block_networks({"cidr": "10.0.0.0/30", "except": ["10.0.0.1/32"]}) == [
        "10.0.0.0/32",
        "10.0.0.2/31",
    ]
    assert block_networks({"cidr": "10.0.0.0/24", "except": ["10.0.0.0/8"]}) == []
    assert block_networks({"cidr": "fd00::/8"}) == []


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [("In", ["web"], True), ("NotIn", ["web"], False), ("Exists", [], True), ("DoesNotExist", [], False)],
)
def test_expressions_select(operator: str, values: list[str], *, expected: bool) -> None:
    expression = {"key": "app", "operator": operator, "values": values}
    assert selects({"matchExpressions": [expression]}, {"app": "web"}) is expected


def test_pods_without_an_own_address_have_no_rules() -> None:
    def item(name: str, status: dict[str, Any], **spec: object) -> dict[str, Any]:
        return {
            "metadata": {"namespace": "a", "name": name},
            "spec": {"containers": [{}], **spec},
            "status": status,
        }

    items = [
        item("pending", {}),
        item("host", {"podIP": "10.199.0.2"}, hostNetwork=True),
        item("done", {"podIP": "10.244.0.9", "phase": "Succeeded"}),
        item("runs", {"podIP": "10.244.0.8", "phase": "Running"}),
    ]
    assert [pod.name for pod in pods_of(items)] == ["runs"]

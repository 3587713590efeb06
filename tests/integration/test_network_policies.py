"""Who may speak with a pod, and with whom it may: all of it, as a cluster reads the rendered policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from support.kustomize import rendered

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
FOLDERS = sorted(path.parent.relative_to(KUBERNETES).as_posix() for path in KUBERNETES.rglob("kustomization.yaml"))
NAME, NAMESPACE = "app.kubernetes.io/name", "kubernetes.io/metadata.name"
SERVER, LOADTEST = "secure-ml-api", "secure-ml-api-loadtest"
SIDES = {"Ingress": "from", "Egress": "to"}


class Flow(NamedTuple):
    """Somebody on the other side, and the port that is spoken to."""

    peer: str
    protocol: str
    port: int


NAMES = {Flow("namespace kube-system", "UDP", 53), Flow("namespace kube-system", "TCP", 53)}
STORES = {Flow("pods postgres", "TCP", 5432), Flow("pods redis", "TCP", 6379)}
CALLERS = {Flow("namespace ingress-nginx", "TCP", 8000), Flow("namespace monitoring", "TCP", 9464)}


class Cluster:
    """What one folder puts into a cluster, and the ports that pods of any folder give names to."""

    def __init__(self, folder: str) -> None:
        objects = list(yaml.safe_load_all(rendered(KUBERNETES / folder)))
        templates = [each["spec"]["template"] for each in objects if "template" in each.get("spec", {})]
        self.pods = [template["metadata"]["labels"] for template in templates]
        self._policies = [each["spec"] for each in objects if each["kind"] == "NetworkPolicy"]

    def policies(self, labels: dict[str, str], direction: str) -> list[dict[str, Any]]:
        """Those that pods with ``labels`` are subject to: where there is one, all is kept away that no rule names."""
        return [
            policy
            for policy in self._policies
            if direction in policy["policyTypes"] and labels_of(policy["podSelector"]).items() <= labels.items()
        ]

    def flows(self, labels: dict[str, str], direction: str) -> set[Flow]:
        """All that is let through to or from pods with ``labels``."""
        rules = [rule for policy in self.policies(labels, direction) for rule in policy.get(direction.lower(), [])]
        # A rule without peers, or without ports, is for all of them.
        assert all(rule.keys() == {SIDES[direction], "ports"} and all(rule.values()) for rule in rules)
        return {
            Flow(peer_of(peer), port.get("protocol", "TCP"), number(port, labels))
            for rule in rules
            for peer in rule[SIDES[direction]]
            for port in rule["ports"]
        }


def labels_of(selector: dict[str, Any]) -> dict[str, str]:
    """What a selector asks for; none of ours is empty, which would be everybody, or an expression."""
    assert selector.keys() == {"matchLabels"}
    found: dict[str, str] = selector["matchLabels"]
    assert found
    return found


def peer_of(peer: dict[str, Any]) -> str:
    """Pods of this namespace by name, or a whole other namespace by name; nothing else is let through."""
    ((kind, selector),) = peer.items()
    (found,) = labels_of(selector).items()
    assert (kind, found[0]) in {("podSelector", NAME), ("namespaceSelector", NAMESPACE)}
    return f"{'pods' if kind == 'podSelector' else 'namespace'} {found[1]}"


def number(port: dict[str, Any], labels: dict[str, str]) -> int:
    """The number of a port, which a rule for what comes in may call as the pods do."""
    assert port.keys() <= {"port", "protocol"}
    return port["port"] if isinstance(port["port"], int) else named_ports()[labels[NAME], port["port"]]


def named_ports() -> dict[tuple[str, str], int]:
    """(name of the pods, name of the port) → number, in any file of ours."""
    objects = [each for path in KUBERNETES.rglob("*.yaml") for each in yaml.safe_load_all(path.read_text())]
    templates = [each["spec"]["template"] for each in objects if "template" in each.get("spec", {})]
    return {
        (template["metadata"]["labels"][NAME], port["name"]): port["containerPort"]
        for template in templates
        for container in template["spec"]["containers"]
        for port in container.get("ports", [])
    }


@pytest.mark.parametrize("direction", SIDES)
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_pod_is_kept_from_all_that_no_policy_names(folder: str, direction: str) -> None:
    cluster = Cluster(folder)
    assert cluster.pods
    assert all(cluster.policies(labels, direction) for labels in cluster.pods)


@pytest.mark.parametrize("folder", ["base", "overlays/production"])
def test_the_server_hears_the_ingress_and_monitoring_and_asks_its_stores_and_for_names_alone(folder: str) -> None:
    cluster = Cluster(folder)
    assert {labels[NAME] for labels in cluster.pods} == {SERVER}
    for labels in cluster.pods:
        assert cluster.flows(labels, "Ingress") == CALLERS
        assert cluster.flows(labels, "Egress") == STORES | NAMES


def test_the_load_test_asks_the_server_and_itself_and_for_names_alone_and_no_store() -> None:
    cluster = Cluster("overlays/loadtest")
    among_themselves = {Flow(f"pods {LOADTEST}", "TCP", 5557)}
    assert {labels[NAME] for labels in cluster.pods} == {LOADTEST}
    for labels in cluster.pods:
        assert cluster.flows(labels, "Ingress") == among_themselves
        assert cluster.flows(labels, "Egress") == among_themselves | NAMES | {Flow(f"pods {SERVER}", "TCP", 8000)}


def test_the_load_test_opens_of_the_server_its_door_for_predictions_alone() -> None:
    cluster, server = Cluster("overlays/loadtest"), {NAME: SERVER}
    assert cluster.flows(server, "Ingress") == {Flow(f"pods {LOADTEST}", "TCP", 8000)}
    assert not cluster.policies(server, "Egress")

"""The objects of deploy/kubernetes as a cluster gets them: rendered by kustomize, base and every overlay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from support.kubernetes import VERSIONS, validate
from support.kustomize import rendered

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
FOLDERS = sorted(path.parent.relative_to(KUBERNETES).as_posix() for path in KUBERNETES.rglob("kustomization.yaml"))
# Those of the Prometheus operator, of which Kubernetes has no schema.
FOREIGN = "monitoring.coreos.com/"


def objects(folder: str) -> dict[str, dict[str, Any]]:
    found = list(yaml.safe_load_all(rendered(KUBERNETES / folder)))
    named = {f"{each['kind']} {each['metadata']['name']}": each for each in found}
    assert len(named) == len(found), "two objects of one name"
    return named


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_kubernetes_takes_every_rendered_object(folder: str, version: str) -> None:
    own = [each for each in objects(folder).values() if not each["apiVersion"].startswith(FOREIGN)]
    assert len(own) >= 7
    for each in own:
        validate(each, version)


@pytest.mark.parametrize("folder", FOLDERS)
def test_all_rendered_objects_are_in_the_namespace_of_the_service(folder: str) -> None:
    assert {each["metadata"]["namespace"] for each in objects(folder).values()} == {"models"}


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != "base"])
def test_an_overlay_gives_every_pod_an_image_of_a_registry_with_a_tag(folder: str) -> None:
    pods = [each["spec"]["template"]["spec"] for each in objects(folder).values() if "template" in each.get("spec", {})]
    images = [entry["image"] for pod in pods for entry in [*pod.get("initContainers", []), *pod["containers"]]]
    assert images
    assert all(image.startswith("registry.example.com/secure-ml-api") for image in images)
    assert all(":" in image for image in images)


def test_what_production_changes_is_changed() -> None:
    base, production = objects("base"), objects("overlays/production")
    assert set(production) - set(base) == {"ServiceMonitor secure-ml-api", "PrometheusRule secure-ml-api"}
    assert production["Deployment secure-ml-api"]["spec"]["replicas"] == 3
    assert production["PodDisruptionBudget secure-ml-api"]["spec"]["minAvailable"] == 2


def test_a_kustomization_that_cannot_be_rendered_fails_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(AssertionError, match=r"absent\.yaml"):
        rendered(tmp_path)

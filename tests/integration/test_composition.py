"""deploy/compose.yaml and what it mounts: what can be said of them without an engine for containers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from secure_ml_api.settings import read_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
COLLECTOR: dict[str, Any] = yaml.safe_load((DEPLOY / "otel" / "collector.yaml").read_text())
# One ends by itself, and the image of the other has no program that could ask.
WITHOUT_HEALTH_CHECK = {"prepare", "collector"}


def interpolated(environment: dict[str, str], **variables: str) -> dict[str, str]:
    """As Compose does it: ``${NAME:-default}``."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1], match[2])

    return {name: re.sub(r"\$\{(\w+):-([^}]*)\}", value, text) for name, text in environment.items()}


def test_settings_of_the_composition_are_settings_of_the_server() -> None:
    assert not read_settings(
        Path("/nowhere"), interpolated(COMPOSE["services"]["api"]["environment"])
    ).telemetry.tracing


def test_every_build_of_the_composition_is_told_its_version() -> None:
    builds = [service["build"] for service in COMPOSE["services"].values() if "build" in service]
    assert builds
    for build in builds:
        dockerfile = (DEPLOY / build["context"] / build["dockerfile"]).read_text()
        default = re.search(r"^ARG VERSION=(.+)$", dockerfile, re.MULTILINE)
        assert default, "a version that nobody reads"
        assert interpolated(build["args"])["VERSION"] == default[1]
        assert interpolated(build["args"], VERSION="1.2.3")["VERSION"] == "1.2.3"


def test_the_composition_traces_on_request_into_its_collector() -> None:
    api, collector = COMPOSE["services"]["api"], COMPOSE["services"]["collector"]
    assert collector["profiles"] == ["tracing"]
    assert not any("collector" in service.get("depends_on", {}) for service in COMPOSE["services"].values())
    telemetry = read_settings(Path("/nowhere"), interpolated(api["environment"], TRACING="true")).telemetry
    receiver = COLLECTOR["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert (telemetry.tracing, telemetry.otlp_endpoint) == (True, f"http://collector:{receiver.rpartition(':')[2]}")
    assert set(api["networks"]) & set(collector["networks"]) == {"traces"}


def test_the_collector_uses_every_part_that_it_configures_and_stays_within_its_memory() -> None:
    (pipeline,) = COLLECTOR["service"]["pipelines"].values()
    assert all(set(COLLECTOR[kind]) == set(pipeline[kind]) for kind in ("receivers", "processors", "exporters"))
    limits = COLLECTOR["processors"]["memory_limiter"]
    assert (
        f"{limits['limit_mib'] * 4 // 3}M"
        == COMPOSE["services"]["collector"]["deploy"]["resources"]["limits"]["memory"]
    )
    assert pipeline["processors"][0] == "memory_limiter"


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_services_of_the_composition_are_confined(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert ("healthcheck" in service) != (name in WITHOUT_HEALTH_CHECK)
    image = service["image"]
    assert image == "secure-ml-api" or re.search(r":v?[0-9]+(\.[0-9]+)*(-alpine)?@sha256:[0-9a-f]{64}$", image)
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])


def test_everything_that_the_composition_mounts_is_there() -> None:
    mounts = [mount for service in COMPOSE["services"].values() for mount in service.get("volumes", [])]
    for source, _, _ in (mount.partition(":") for mount in mounts):
        if source.startswith("./") and source != "./nginx-tls":  # the certificate is the operator's
            assert (DEPLOY / source).exists(), source
        elif not source.startswith("."):
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize(
    ("made", "source", "here", "there"),
    [
        ("nginx/compose.conf", "nginx/nginx.conf", "server 127.0.0.1:8000", "server api:8000"),
        ("prometheus/compose.yml", "prometheus/prometheus.yml", "127.0.0.1:9464", "api:9464"),
    ],
)
def test_files_for_the_composition_are_the_others_with_its_names(made: str, source: str, here: str, there: str) -> None:
    assert (DEPLOY / made).read_text() == (DEPLOY / source).read_text().replace(here, there)

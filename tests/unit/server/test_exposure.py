"""Who listens where strangers may come is warned, once, and serves all the same."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.server import application, checkup
from secure_ml_api.server.checkup import examine
from secure_ml_api.server.exposure import exposure
from secure_ml_api.setting_sections import ServerSettings
from secure_ml_api.settings import Settings, read_settings

EVERYWHERE = "0.0.0.0"  # noqa: S104 — nothing is bound here
PUBLIC = [EVERYWHERE, "::", "", "8.8.8.8", "2606:4700::1111", "100.64.0.1"]
INNER = ["127.0.0.1", "127.8.8.8", "::1", "localhost", "10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1", "fe80::1"]


@pytest.mark.parametrize("host", PUBLIC)
def test_address_that_strangers_may_reach_is_warned_of_with_the_remedy(host: str) -> None:
    warning = exposure(ServerSettings(host=host))
    assert warning is not None
    assert all(word in warning for word in (host, "server.trusted_proxies", "server.tls_certificate"))


@pytest.mark.parametrize("host", INNER)
def test_address_of_this_machine_or_a_private_network_is_not_warned_of(host: str) -> None:
    assert exposure(ServerSettings(host=host)) is None


@pytest.mark.parametrize("host", PUBLIC)
@pytest.mark.parametrize("between", [{"trusted_proxies": ["10.0.0.0/8"]}, {"tls_certificate": "server.pem"}])
def test_whoever_names_a_proxy_or_speaks_tls_is_not_warned(host: str, between: dict[str, Any]) -> None:
    assert exposure(ServerSettings(host=host, **between)) is None


def test_name_that_nobody_knows_is_left_to_who_opens_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert exposure(ServerSettings(host="no-such-host.invalid")) is None


def test_name_is_judged_by_the_addresses_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("10.0.0.1", "8.8.8.8")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert exposure(ServerSettings(host="api.example")) is not None


@pytest.mark.parametrize(("host", "warned"), [(EVERYWHERE, True), ("127.0.0.1", False)])
def test_doctor_has_a_finding_that_warns_and_is_not_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, warned: bool
) -> None:
    monkeypatch.setattr(checkup, "port_complaint", lambda *_: None)
    (finding,) = (each for each in examine(settings_of(tmp_path, host)) if each.name == "address")
    assert (finding.ok, finding.warns) == (True, warned)


@pytest.mark.parametrize(("host", "lines"), [(EVERYWHERE, 1), ("127.0.0.1", 0)])
def test_serve_says_it_in_one_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, host: str, lines: int
) -> None:
    """Everything that a server does before and after is left out: it would change this process for good."""
    for name in (
        "lock_home",
        "check_ports",
        "bound_library_threads",
        "raise_descriptor_limit",
        "forbid_core_files",
        "configure_logging",
        "capture_stderr",
        "_wipe_run_directory",
    ):
        monkeypatch.setattr(application, name, lambda *_: None)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    monkeypatch.setattr(application, "ServerApplication", NoServer)
    with caplog.at_level(logging.WARNING), pytest.raises(SystemExit):
        application.serve(lambda: settings_of(tmp_path, host), lambda settings: None)
    assert [record.message.startswith(f"server.host {host}") for record in caplog.records] == [True] * lines


class NoServer:
    """In the place of the application that would serve."""

    def __init__(self, *_: object) -> None: ...

    def wsgi(self) -> None: ...

    def run(self) -> None:
        raise SystemExit(0)


def settings_of(home: Path, host: str) -> Settings:
    return read_settings(home, {}, server={"host": host})

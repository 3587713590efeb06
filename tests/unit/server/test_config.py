"""The packaged gunicorn configuration."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from secure_ml_api.errors import SettingsError
from secure_ml_api.server import config as config_module
from secure_ml_api.server.config import WORKER_CLASSES, address, bound_library_threads, gunicorn_settings
from secure_ml_api.settings import Settings, read_settings


def configured(settings: Settings) -> Config:
    cfg = Config()
    for key, value in gunicorn_settings(settings).items():
        cfg.set(key, value)
    cfg.validate()
    return cfg


def made(home: Path, **server: Any) -> Config:
    return configured(read_settings(home, {}, server=server))


def test_gunicorn_accepts_every_setting(tmp_path: Path) -> None:
    cfg = made(tmp_path, workers=3, threads=5, keep_alive_seconds=7)
    assert (cfg.workers, cfg.threads, cfg.keepalive) == (3, 5, 7)
    assert cfg.preload_app


def test_nothing_weakens_the_parser_and_no_second_way_in_is_open(tmp_path: Path) -> None:
    cfg = made(tmp_path)
    assert cfg.header_map == "refuse"
    assert cfg.forwarder_headers == []
    assert cfg.control_socket_disable
    assert not any(cfg.settings[name].get() for name in cfg.settings if name.startswith("permit_"))
    assert not cfg.strip_header_spaces
    assert (cfg.proxy_protocol, cfg.http2_cleartext, cfg.http_protocols) == ("off", "off", ["h1"])
    assert (cfg.limit_request_line, cfg.limit_request_fields, cfg.limit_request_field_size) == (4094, 64, 8800)


def test_every_setting_that_differs_is_named_once_with_its_reason() -> None:
    source = Path(config_module.__file__).read_text()
    keys = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Dict)]
    largest = max(keys, key=lambda node: len(node.keys))
    names = [key.value for key in largest.keys if isinstance(key, ast.Constant)]
    assert len(names) == len(set(names)) == len(largest.keys)


def scheme_of(cfg: Config, peer: str) -> str:
    request = Request(cfg, IterUnreader([b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n"]), (peer, 1))
    scheme: str = request.scheme
    return scheme


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "10.0.0.5"])
def test_nobody_may_claim_https_without_trusted_proxies(tmp_path: Path, peer: str) -> None:
    assert scheme_of(made(tmp_path), peer) == "http"


def test_exactly_the_trusted_proxies_may_claim_https(tmp_path: Path) -> None:
    cfg = made(tmp_path, trusted_proxies=["10.0.0.5", "192.168.7.0/24"])
    claims = {peer: scheme_of(cfg, peer) for peer in ("10.0.0.5", "192.168.7.9", "10.0.0.6", "127.0.0.1")}
    assert claims == {"10.0.0.5": "https", "192.168.7.9": "https", "10.0.0.6": "http", "127.0.0.1": "http"}


def test_environment_of_gunicorn_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--forwarded-allow-ips=* --workers=99")
    monkeypatch.setenv("WEB_CONCURRENCY", "99")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    cfg = made(tmp_path, workers=2)
    assert (cfg.workers, cfg.forwarded_allow_ips) == (2, [])


def test_worker_class_that_is_not_offered_is_refused_with_the_names_of_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"server\.worker_class.*gthread"):
        made(tmp_path, worker_class="sync")


@pytest.mark.parametrize("name", WORKER_CLASSES)
def test_every_offered_worker_class_can_be_loaded(tmp_path: Path, name: str) -> None:
    cfg = made(tmp_path, worker_class=name)
    assert f"{cfg.worker_class.__module__}.{cfg.worker_class.__name__}" == WORKER_CLASSES[name]


def test_both_ports_are_bound_and_ipv6_gets_its_brackets(tmp_path: Path) -> None:
    assert made(tmp_path, port=1234, metrics_port=5678).bind == ["127.0.0.1:1234", "127.0.0.1:5678"]
    assert address("::1", 80) == "[::1]:80"


def test_thread_limits_of_libraries_leave_the_operators_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "5", "MKL_NUM_THREADS": ""})
    bound_library_threads(2)
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]) == ("5", "2")

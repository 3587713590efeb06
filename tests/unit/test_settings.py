"""Settings are read once, from the file under the environment under overrides, and a bad one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from secure_ml_api import settings as settings_module
from secure_ml_api.errors import SettingsError
from secure_ml_api.settings import SECTIONS, Settings, read_settings


def with_file(home: Path, text: str) -> Path:
    (home / "config.toml").write_text(text, "utf-8")
    return home


def complaint(home: Path, environ: dict[str, str] | None = None, **overrides: dict[str, Any]) -> str:
    """The one line that refuses these settings."""
    with pytest.raises(SettingsError) as caught:
        read_settings(home, environ or {}, **overrides)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_an_empty_home_has_the_defaults_that_scripts_rely_on(tmp_path: Path) -> None:
    settings = read_settings(tmp_path / "none", {})
    assert (settings.server.host, settings.server.port, settings.server.metrics_port) == ("127.0.0.1", 8000, 9464)
    assert (settings.server.header_timeout_seconds, settings.server.body_timeout_seconds) == (10, 30)
    assert (settings.server.request_deadline_seconds, settings.server.body_limit_bytes) == (30, 16 * 1024 * 1024)
    assert settings.server.trusted_proxies == ()
    assert settings.tokens.lifetime_seconds == 900
    assert settings.fast_lane.enabled
    assert settings.database_url == f"sqlite:///{tmp_path / 'none' / 'data.db'}"
    assert settings.state.url == ""


def test_the_environment_wins_over_the_file_and_overrides_win_over_both(tmp_path: Path) -> None:
    home = with_file(tmp_path, "[server]\nport = 1111\nmetrics_port = 2222\nthreads = 3\n")
    environ = {"SECURE_ML_API_SERVER__METRICS_PORT": "3333", "SECURE_ML_API_SERVER__THREADS": "4"}
    server = read_settings(home, environ, server={"threads": 5}).server
    assert (server.port, server.metrics_port, server.threads) == (1111, 3333, 5)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("SERVER__BODY_LIMIT_BYTES", "1024", 1024),
        ("SERVER__HEADER_TIMEOUT_SECONDS", "2.5", 2.5),
        ("SERVER__TRUSTED_PROXIES", "10.0.0.0/8, ::1", ("10.0.0.0/8", "::1")),
        ("SERVER__TRUSTED_PROXIES", "", ()),
        ("FAST_LANE__ENABLED", "false", False),
        ("TOKENS__ISSUER", "https://issuer.example", "https://issuer.example"),
        ("QUOTAS__REQUESTS", "5/second", "5/second"),
        ("BATCHING__ENABLED", "never", "never"),
    ],
)
def test_every_kind_of_setting_can_come_from_the_environment(
    tmp_path: Path, variable: str, value: str, expected: object
) -> None:
    settings = read_settings(tmp_path, {f"SECURE_ML_API_{variable}": value})
    section, key = variable.lower().split("__")
    assert getattr(getattr(settings, section), key) == expected


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    environ = {"SECURE_ML_API_HOME": "/elsewhere", "PATH": "/bin", "OTHER__KEY": "1"}
    assert read_settings(tmp_path, environ) == read_settings(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[sever]\nport = 1\n", "[sever]"),
        ("[home]\n", "[home]"),
        ("server = 5\n", "[server]"),
        ("[server]\nprot = 1\n", "server.prot"),
        ("[server]\nport = 0\n", "server.port"),
        ("[server]\nport = 65536\n", "server.port"),
        ('[server]\nport = "http"\n', "server.port"),
        ("[server]\nheader_timeout_seconds = 0\n", "server.header_timeout_seconds"),
        ("[server]\nheader_timeout_seconds = nan\n", "server.header_timeout_seconds"),
        ("[server]\nrequest_deadline_seconds = inf\n", "server.request_deadline_seconds"),
        ("[server]\nbody_limit_bytes = -1\n", "server.body_limit_bytes"),
        ("[tokens]\nlifetime_seconds = 29\n", "tokens.lifetime_seconds"),
        ('[tokens]\nissuer = ""\n', "tokens.issuer"),
        ('[tokens]\naudience = ""\n', "tokens.audience"),
        ("[tokens]\nleeway_seconds = 61\n", "tokens.leeway_seconds"),
        ('[tokens]\nalgorithm = "none"\n', "tokens.algorithm"),
        ('[tokens]\nalgorithm = "HS256"\n', "tokens.algorithm"),
        (
            '[[tokens.outside_issuers]]\nissuer = "x"\naudience = "y"\njwks = "z"\nsecret = 1\n',
            "tokens.outside_issuers.0",
        ),
        ('[quotas]\nrequests = "0/minute"\n', "quotas.requests"),
        ('[quotas]\nrows = "10 per minute"\n', "quotas.rows"),
        ('[quotas]\non_storage_error = "open"\n', "quotas.on_storage_error"),
        ("[fast_lane]\nenabled = 2\n", "fast_lane.enabled"),
        ("[batching]\nenabled = true\n", "batching.enabled"),
        ("[batching]\nmax_batch_rows = 0\n", "batching.max_batch_rows"),
        ("[batching]\nmax_delay_seconds = -1\n", "batching.max_delay_seconds"),
        ("server\n", "config.toml"),
    ],
)
def test_a_bad_file_is_refused_and_the_key_is_named(tmp_path: Path, text: str, named: str) -> None:
    assert named in complaint(with_file(tmp_path, text))


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'[server]\nhost = "\xff"\n')
    assert "config.toml" in complaint(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    assert "config.toml" in complaint(tmp_path)


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("SECURE_ML_API_SEVER__PORT", "SECURE_ML_API_SEVER__PORT"),
        ("SECURE_ML_API_SERVER__PROT", "server.prot"),
        ("SECURE_ML_API_SERVER__PORT", "server.port"),
        ("SECURE_ML_API_FAST_LANE__ENABLED", "fast_lane.enabled"),
    ],
)
def test_a_bad_variable_is_refused_and_named(tmp_path: Path, variable: str, named: str) -> None:
    assert named in complaint(tmp_path, {variable: "surely"})


@pytest.mark.parametrize("proxy", ["proxy.local", "10.0.0.1/8", "*", "unix:", "10.0.0.5:8080"])
def test_proxy_that_is_no_address_and_no_network_is_refused_with_what_to_write(tmp_path: Path, proxy: str) -> None:
    line = complaint(tmp_path, server={"trusted_proxies": ["192.0.2.1", proxy]})
    assert line.startswith("server.trusted_proxies: ")
    assert proxy in line
    assert line.endswith("; name proxies by their addresses, or by networks such as 10.0.0.0/8")


def test_variable_with_one_underscore_is_refused_with_its_right_name(tmp_path: Path) -> None:
    line = complaint(tmp_path, {"SECURE_ML_API_FAST_LANE_ENABLED": "false"})
    assert line == "SECURE_ML_API_FAST_LANE_ENABLED: write SECURE_ML_API_FAST_LANE__ENABLED, with two underscores"


def test_variables_that_kubernetes_sets_for_a_service_are_left_alone(tmp_path: Path) -> None:
    environ = {"SECURE_ML_API_SERVER_PORT": "tcp://10.0.0.1:80", "SECURE_ML_API_SERVER_SERVICE_HOST": "10.0.0.1"}
    assert read_settings(tmp_path, environ) == read_settings(tmp_path, {})


def test_a_bad_value_is_not_repeated_as_it_may_be_a_secret(tmp_path: Path) -> None:
    assert "hunter2" not in complaint(tmp_path, {"SECURE_ML_API_DATABASE__TIMEOUT_SECONDS": "hunter2"})


@pytest.mark.parametrize("workers", [0, 2])
def test_counting_in_memory_is_refused_with_several_workers(tmp_path: Path, workers: int) -> None:
    line = complaint(tmp_path, state={"url": "memory://"}, server={"workers": workers})
    assert line.startswith("state.url: memory://")


def test_counting_in_memory_is_for_one_worker(tmp_path: Path) -> None:
    assert read_settings(tmp_path, {}, state={"url": "memory://"}, server={"workers": 1}).state.url == "memory://"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, {})
    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_says_what_it_is_and_has_a_default(section: str) -> None:
    model = Settings.model_fields[section].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    for name, field in model.model_fields.items():
        assert field.description, f"{section}.{name} has no words"
        assert not field.is_required(), f"{section}.{name} has no default"


def test_settings_in_seconds_and_bytes_say_so_in_their_names() -> None:
    for section in SECTIONS:
        model: Any = Settings.model_fields[section].annotation
        for name, field in model.model_fields.items():
            if field.annotation is float:
                assert name.endswith(("_seconds", "_ratio")), f"{section}.{name} has no unit"


def test_the_file_is_what_a_default_is_read_from(tmp_path: Path) -> None:
    assert Path("var") == settings_module.DEFAULT_HOME
    assert read_settings(tmp_path, {}).home == tmp_path

"""The settings: frozen sections, read once at start from ``config.toml`` and the environment.

An environment variable ``SECURE_ML_API_<SECTION>__<KEY>`` wins over the file. Each room is handed its own section only.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError, model_validator

from .access_sections import QuotasSettings, TokensSettings
from .errors import SettingsError
from .setting_sections import (
    AuditSettings,
    BatchingSettings,
    DatabaseSettings,
    DriftSettings,
    FastLaneSettings,
    InferenceSettings,
    ModelsSettings,
    Section,
    ServerSettings,
    StateSettings,
    TelemetrySettings,
)

ENVIRONMENT_PREFIX = "SECURE_ML_API_"
HOME_VARIABLE = "SECURE_ML_API_HOME"
DEFAULT_HOME = Path("var")


class Settings(Section):
    """All sections, and the home they were read from."""

    home: Path
    server: ServerSettings = ServerSettings()
    tokens: TokensSettings = TokensSettings()
    quotas: QuotasSettings = QuotasSettings()
    database: DatabaseSettings = DatabaseSettings()
    audit: AuditSettings = AuditSettings()
    state: StateSettings = StateSettings()
    models: ModelsSettings = ModelsSettings()
    inference: InferenceSettings = InferenceSettings()
    batching: BatchingSettings = BatchingSettings()
    drift: DriftSettings = DriftSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    fast_lane: FastLaneSettings = FastLaneSettings()

    @model_validator(mode="after")
    def _memory_counts_for_one_worker(self) -> Self:
        if self.state.url.startswith("memory") and self.server.workers != 1:
            raise ValueError(
                "state.url: memory:// counts each worker apart; set server.workers to 1, or leave state.url empty"
            )
        return self

    @model_validator(mode="after")
    def _tokens_are_bound_to_something(self) -> Self:
        if self.tokens.bind_to_certificates and self.server.tls_client_certificates == "none":
            raise ValueError("tokens.bind_to_certificates: server.tls_client_certificates has to ask for certificates")
        return self

    @property
    def database_url(self) -> str:
        return self.database.url or f"sqlite:///{self.home.absolute() / 'data.db'}"

    @property
    def run_directory(self) -> Path:
        return self.home / "run"

    @property
    def keys_directory(self) -> Path:
        return self.home / "keys"

    @property
    def audit_directory(self) -> Path:
        return self.home / "audit"

    @property
    def models_directory(self) -> Path:
        return self.home / "models"


SECTIONS = tuple(name for name in Settings.model_fields if name != "home")


def read_settings(home: Path, environ: Mapping[str, str] = os.environ, **overrides: dict[str, Any]) -> Settings:
    """The settings of ``home``: ``overrides`` (section to keys) win over ``environ``, which wins over ``config.toml``.

    Raises SettingsError naming the first bad key.
    """
    tree = _from_file(home / "config.toml")
    for section, keys in [*_from_environment(environ).items(), *overrides.items()]:
        tree[section] = {**tree.get(section, {}), **keys}
    try:
        return Settings.model_validate({**tree, "home": home})
    except ValidationError as error:
        raise SettingsError(_first_complaint(error)) from None


def _from_file(path: Path) -> dict[str, dict[str, Any]]:
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError, RecursionError) as error:  # ValueError: no TOML, no UTF-8, or a number without end
        raise SettingsError(f"{path}: {error}") from None
    for section, keys in tree.items():
        if section not in SECTIONS:
            raise SettingsError(f"{path}: unknown section [{section}]; known are {', '.join(SECTIONS)}")
        if not isinstance(keys, dict):
            raise SettingsError(f"{path}: {section} is a section; write it as [{section}]")
    return tree


def _from_environment(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    tree: dict[str, dict[str, str]] = {}
    for variable, value in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        if "__" not in variable:
            _refuse_one_underscore(variable, value)
            continue
        section, _, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if section not in SECTIONS:
            raise SettingsError(f"{variable}: unknown section {section}; known are {', '.join(SECTIONS)}")
        tree.setdefault(section, {})[key] = value
    return tree


def _refuse_one_underscore(variable: str, value: str) -> None:
    """Raises SettingsError for a setting that its writer believes to be set; others' variables are left alone."""
    if value.startswith("tcp://"):  # SERVER_PORT as Kubernetes sets it for a service of the name secure-ml-api-server
        return
    words = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
    for section in SECTIONS:
        kind = Settings.model_fields[section].annotation
        key = words.removeprefix(f"{section}_")
        if key != words and isinstance(kind, type) and issubclass(kind, BaseModel) and key in kind.model_fields:
            right = f"{ENVIRONMENT_PREFIX}{section}__{key}".upper()
            raise SettingsError(f"{variable}: write {right}, with two underscores")


def _first_complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        kind = Settings.model_fields[str(first["loc"][0])].annotation
        known = ", ".join(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else ""
        return f"{where}: unknown setting; known are {known}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message

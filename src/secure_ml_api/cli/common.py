"""What every command shares: the home, the settings in it, and answers for people or for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from ..settings import DEFAULT_HOME, HOME_VARIABLE, Settings, read_settings
from .output import echo

P = ParamSpec("P")
R = TypeVar("R")


def home_option(command: Callable[P, R]) -> Callable[P, R]:
    """``--home DIR``, handed to the command as ``home``."""
    return click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        envvar=HOME_VARIABLE,
        default=DEFAULT_HOME,
        show_default=True,
        help="Directory of keys, database, models and configuration.",
    )(command)


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """``--json``, handed to the command as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")(command)


def load(home: Path, **overrides: dict[str, Any]) -> Settings:
    """The settings of ``home``, under the given overrides; raises SettingsError."""
    return read_settings(home, **overrides)


def say(payload: object, as_json: bool, lines: Iterable[str], *, tell: Callable[[str], None] = echo) -> None:
    """Print ``payload`` as JSON for programs, or ``lines`` for people; raises OutputLost."""
    if as_json:
        import json

        tell(json.dumps(payload, indent=2, default=str))
        return
    for line in lines:
        tell(line)

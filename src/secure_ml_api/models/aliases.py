"""Which version of a model serves when none is asked for: a small file beside the versions, replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ..errors import PackageRefused
from .names import ALIASES_FILE, PlainName, version_order
from .small_file import read_small, write_small

PRODUCTION = "production"
PREVIOUS = "previous"

_aliases: TypeAdapter[dict[str, str]] = TypeAdapter(dict[PlainName, PlainName])


def read_aliases(model_directory: Path) -> dict[str, str]:
    """Alias to version; empty when there is no file. Raises PackageRefused when the file is not what it should be."""
    path = model_directory / ALIASES_FILE
    remedy = "remove it to serve the newest version"
    try:
        data = read_small(path)
        return {} if data is None else _aliases.validate_json(data)
    except OSError as error:
        raise PackageRefused(f"{path} cannot be opened ({error.strerror}); {remedy}") from None
    except ValidationError:
        raise PackageRefused(f'{path} must be one JSON object such as {{"production": "2"}}; {remedy}') from None


def write_aliases(model_directory: Path, aliases: dict[str, str]) -> None:
    """Replace the file; a reader sees the old one or the new one, whole."""
    data = json.dumps(_aliases.validate_python(aliases), indent=2, sort_keys=True).encode() + b"\n"
    write_small(model_directory / ALIASES_FILE, data)


def previous_version(name: str, aliases: Mapping[str, str]) -> str:
    """What a rollback of the model ``name`` goes back to; raises PackageRefused without one."""
    if PREVIOUS not in aliases:
        why = "nothing was promoted over another since it was packed or rolled back"
        raise PackageRefused(f"{name} has no previous version ({why}); choose one with `models promote {name} VERSION`")
    return aliases[PREVIOUS]


def choose_version(usable: Collection[str], aliases: Mapping[str, str]) -> str | None:
    """Which of the ``usable`` versions serves; None when there are none.

    The one in production; failing that the previous one, then the newest that is older, then any. Without an alias
    the newest.
    """
    order = sorted(usable, key=version_order, reverse=True)
    production, previous = aliases.get(PRODUCTION), aliases.get(PREVIOUS)
    if production is None:
        return order[0] if order else None
    older = [version for version in order if version_order(version) < version_order(production)]
    candidates = [production, previous, *older, *order]
    return next((version for version in candidates if version is not None and version in usable), None)

"""``doctor``: everything that serving needs, looked at without changing it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OperatorError, SettingsError
from ..settings import SECTIONS, Settings
from .common import home_option, json_option, load, say

if TYPE_CHECKING:
    from ..server.checkup import Finding


@click.command()
@home_option
@click.option("--settings", "list_settings", is_flag=True, help="List every setting, its value and its meaning.")
@json_option
def command(home: Path, list_settings: bool, as_json: bool) -> None:
    """Check configuration, permissions, ports, storage, clock and models.

    One line for each; exits with 1 when something is wrong. What is only warned of changes nothing of that.
    """
    from ..server.checkup import Finding, examine

    try:
        settings = load(home)
    except SettingsError as wrong:
        findings = [Finding("configuration", False, str(wrong))]
    else:
        if list_settings:
            rows = list(_rows(settings))
            say(rows, as_json, _described(rows))
            return
        findings = list(examine(settings))
    width = max(len(finding.name) for finding in findings)
    payload = [
        {"name": finding.name, "ok": finding.ok, "warning": finding.warns, "detail": finding.detail}
        for finding in findings
    ]
    wrong_count = sum(not finding.ok for finding in findings)
    say(
        {"ok": not wrong_count, "checks": payload},
        as_json,
        [f"{_mark(each)}  {each.name:<{width}}  {each.detail}" for each in findings],
    )
    if wrong_count:
        raise OperatorError(
            f"{wrong_count} of {len(findings)} checks found something wrong; their lines say what to do"
        )


def _mark(finding: Finding) -> str:
    if not finding.ok:
        return "✗ wrong"
    return "! warn " if finding.warns else "✓ ok   "


def _rows(settings: Settings) -> Iterator[dict[str, Any]]:
    for section in SECTIONS:
        part = getattr(settings, section)
        for key, field in type(part).model_fields.items():
            value, default = getattr(part, key), field.get_default(call_default_factory=True)
            yield {
                "key": f"{section}.{key}",
                "value": _without_password(value),
                "default": _without_password(default),
                "meaning": " ".join((field.description or "").split()),
            }


def _described(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        changed = "" if row["value"] == row["default"] else f"  (default {row['default']!r})"
        yield f"{row['key']} = {row['value']!r}{changed}"
        yield f"    {row['meaning']}"


def _without_password(value: object) -> object:
    """``value`` as it may be shown: a URL without its password, a tuple as a list, a section as its keys."""
    if isinstance(value, str):
        # Up to the last @ before a host: whoever wrote one into a password unescaped is not shown the rest of it.
        masked = re.sub(r"(://[^/@\s:]*:)\S+@", r"\1***@", value)
        return re.sub(r"([?&]password=)[^&\s]+", r"\1***", masked)
    if isinstance(value, tuple):
        return [part.model_dump() if hasattr(part, "model_dump") else part for part in value]
    return value

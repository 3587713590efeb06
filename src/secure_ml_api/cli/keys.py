"""``keys``: look after the keys that sign tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import home_option, json_option, load, say

if TYPE_CHECKING:
    from ..auth.key_state import Key
    from ..auth.keys import KeyRing


@click.group(name="keys", short_help="Look after the keys that sign tokens.")
def command() -> None:
    """Look after the keys that sign tokens; running servers notice a change within seconds."""


@command.command(name="list")
@home_option
@json_option
def list_(home: Path, as_json: bool) -> None:
    """List the keys that are accepted: the active one, the next one and retiring ones."""
    from ..auth.assembly import open_ring

    keys = open_ring(load(home)).list()
    say([_shown(key) for key in keys], as_json, [_line(key) for key in keys])


@command.command()
@home_option
@json_option
def rotate(home: Path, as_json: bool) -> None:
    """Sign with the next key from now on; tokens of the one before hold until they end."""
    active = _change(home, "key.rotate", lambda ring: ring.rotate())
    say(_shown(active), as_json, [f"signing with {active.kid} ({active.alg}) from now on"])


@command.command()
@click.argument("kid")
@click.option("--now", "immediately", is_flag=True, help="Refuse every token that the key ever signed, at once.")
@home_option
@json_option
def retire(kid: str, immediately: bool, home: Path, as_json: bool) -> None:
    """Sign with the key KID no more; with --now its tokens are refused too (the key may be in wrong hands)."""
    active = _change(
        home, "key.retire", lambda ring: ring.retire(kid, immediately=immediately), kid=kid, immediately=immediately
    )
    say(_shown(active), as_json, [f"{kid} signs no more; signing with {active.kid} ({active.alg})"])


def _change(home: Path, event: str, task: Callable[[KeyRing], Key], **details: Any) -> Key:
    """Change the keys, then write it to the audit trail: a database that is away never holds up an emergency."""
    from ..auth.assembly import open_ring
    from ..errors import OperatorError
    from .stores import opened, record

    settings = load(home)
    active = task(open_ring(settings))
    try:
        with opened(settings) as stores:
            record(stores, event, active=active.kid, **details)
    except OperatorError as error:
        click.echo(f"secure-ml-api: done, but the audit trail could not be written: {error}", err=True)
    return active


def _shown(key: Key) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "alg": key.alg,
        "status": key.status,
        "created": _date(key.created),
        "retire_after": None if key.retire_after is None else _date(key.retire_after),
    }


def _line(key: Key) -> str:
    end = "" if key.retire_after is None else f"  accepted until {_date(key.retire_after)}"
    return f"{key.kid}  {key.alg}  {key.status}  created {_date(key.created)}{end}"


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()

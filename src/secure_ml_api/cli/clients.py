"""``clients``: register client applications and look after them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import home_option, json_option, load, say

if TYPE_CHECKING:
    from ..auth.assembly import Stores
    from ..auth.records import ClientRecord


@click.group(name="clients", short_help="Register client applications and look after them.")
def command() -> None:
    """Register client applications and look after them. A CLIENT is named by its name or its id."""


@command.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; give it once for each scope.")
@click.option("--rate", "requests", help='Request quota, such as "600/minute".')
@click.option("--rows", help='Row quota, such as "100000/minute".')
@click.option("--concurrency", type=int, help="Requests in flight on one machine.")
@home_option
@json_option
def create(
    *,
    name: str,
    scopes: tuple[str, ...],
    requests: str | None,
    rows: str | None,
    concurrency: int | None,
    home: Path,
    as_json: bool,
) -> None:
    """Register the client application NAME and print its id and secret, the secret this once.

    Scopes: models:read, predict:NAME, predict:*, models:admin; and clients:admin, to introspect the tokens of other
    clients.
    """
    names = _names(scopes)

    def make(stores: Stores) -> tuple[ClientRecord, str]:
        return stores.clients.create(name, names, requests=requests, rows=rows, concurrency=concurrency)

    client, secret = _run(home, "client.create", make)
    _say_secret(client, secret, as_json)


@command.command(name="list")
@home_option
@json_option
def list_(home: Path, as_json: bool) -> None:
    """List the clients."""
    clients = _run(home, None, lambda stores: stores.clients.list())
    lines = ["  ".join([client.client_id, _state(client), client.name, *sorted(client.scopes)]) for client in clients]
    say(
        [_shown(client) for client in clients],
        as_json,
        lines or ["no clients; register one: secure-ml-api clients create"],
    )


@command.command()
@click.argument("client")
@home_option
@json_option
def show(client: str, home: Path, as_json: bool) -> None:
    """Show CLIENT: its scopes, quotas and dates."""
    found = _run(home, None, lambda stores: stores.clients.show(client))
    _say_client(found, as_json)


@command.command(name="rotate-secret")
@click.argument("client")
@home_option
@json_option
def rotate_secret(client: str, home: Path, as_json: bool) -> None:
    """Give CLIENT a new secret and print it this once; the old one is refused from now on."""
    found, secret = _run(home, "client.rotate_secret", lambda stores: stores.clients.rotate_secret(client))
    _say_secret(found, secret, as_json)


@command.command(name="set-scopes")
@click.argument("client")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; give it once for each scope.")
@home_option
@json_option
def set_scopes(*, client: str, scopes: tuple[str, ...], home: Path, as_json: bool) -> None:
    """Let CLIENT do this and nothing else from now on.

    Tokens that it has lose what it loses at once, and gain nothing beyond what they were issued for. Scopes:
    models:read, predict:NAME, predict:*, models:admin; and clients:admin, to introspect the tokens of other clients.
    """
    names = _names(scopes)
    _say_client(_run(home, "client.set_scopes", lambda stores: stores.clients.set_scopes(client, names)), as_json)


@command.command()
@click.argument("client")
@home_option
@json_option
def disable(client: str, home: Path, as_json: bool) -> None:
    """Refuse the secret and all tokens of CLIENT from now on."""
    _say_client(_run(home, "client.disable", lambda stores: stores.clients.disable(client)), as_json)


@command.command()
@click.argument("client")
@home_option
@json_option
def enable(client: str, home: Path, as_json: bool) -> None:
    """Accept the secret of CLIENT, and its tokens that did not end, again."""
    _say_client(_run(home, "client.enable", lambda stores: stores.clients.enable(client)), as_json)


@command.command()
@click.argument("client")
@home_option
@json_option
def delete(client: str, home: Path, as_json: bool) -> None:
    """Forget CLIENT; its tokens are refused from now on."""
    gone = _run(home, "client.delete", lambda stores: stores.clients.delete(client))
    say({"deleted": gone.client_id, "name": gone.name}, as_json, [f"deleted {gone.name} ({gone.client_id})"])


def _names(scopes: tuple[str, ...]) -> list[str]:
    """Each scope by itself, also where several were given as one word."""
    return [scope for given in scopes for scope in given.split()]


def _run(home: Path, event: str | None, task: Callable[[Stores], Any]) -> Any:
    """Run ``task`` on the stores of ``home``, and write ``event`` to the audit trail with how it ended."""
    from .stores import opened

    with opened(load(home)) as stores:
        if event is None:
            return task(stores)
        return _audited(stores, event, task)


def _audited(stores: Stores, event: str, task: Callable[[Stores], Any]) -> Any:
    from .stores import operator

    try:
        result = task(stores)
    except Exception as error:
        stores.trail.record(event, actor=operator(), outcome=type(error).__name__)
        raise
    client = result[0] if isinstance(result, tuple) else result
    stores.trail.record(
        event, actor=operator(), outcome="ok", client_id=client.client_id, scopes=tuple(sorted(client.scopes))
    )
    return result


def _say_secret(client: ClientRecord, secret: str, as_json: bool) -> None:
    say(
        {"client_id": client.client_id, "client_secret": secret, **_shown(client)},
        as_json,
        [f"client_id: {client.client_id}", f"client_secret: {secret}", "The secret is not shown again; keep it safe."],
    )


def _say_client(client: ClientRecord, as_json: bool) -> None:
    shown = _shown(client)
    say(
        shown,
        as_json,
        [f"{name}: {' '.join(value) if isinstance(value, list) else value}" for name, value in shown.items()],
    )


def _state(client: ClientRecord) -> str:
    return "enabled" if client.enabled else "disabled"


def _shown(client: ClientRecord) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "name": client.name,
        "scopes": sorted(client.scopes),
        "rate": client.requests,
        "rows": client.rows,
        "concurrency": client.concurrency,
        "enabled": client.enabled,
        "created": datetime.fromtimestamp(client.created_at, UTC).isoformat(),
        "secret_rotated": datetime.fromtimestamp(client.rotated_at, UTC).isoformat(),
    }

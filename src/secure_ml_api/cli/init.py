"""``init``: a home that can serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from ..settings import Settings
from .common import home_option, json_option, load, say
from .output import echo


@click.command("init")
@home_option
@click.option("--no-examples", is_flag=True, help="Leave the example models out.")
@click.option(
    "--example", "examples", multiple=True, metavar="NAME", help="Of the example models only this; repeat it."
)
@json_option
def command(home: Path, no_examples: bool, examples: tuple[str, ...], as_json: bool) -> None:
    """Prepare the home: signing keys, database and example models. Run it again as often as you like.

    Nothing that is there is ever overwritten.
    """
    tell = (lambda _: None) if as_json else echo
    did = prepare(load(home), examples=not no_examples, only=examples, tell=tell)
    say({"home": str(home), "did": did}, as_json, [f"The home {home} is ready."])


def prepare(
    settings: Settings,
    *,
    examples: bool = True,
    only: Sequence[str] = (),
    tell: Callable[[str], object] = lambda _: None,
) -> list[str]:
    """Make what the home lacks; each step that changed something, in words, which ``tell`` is handed as well.

    Of the examples those in ``only``, or all that can be trained here. Raises OperatorError.
    """
    from ..auth.assembly import open_ring
    from ..auth.audit_key import create_audit_key
    from ..database.migrate import migrate
    from ..errors import HomeError
    from ..models.signing import create_signing_key

    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HomeError(f"{settings.home} cannot be made: {error.strerror}") from None
    did: list[str] = []

    def done(words: str) -> None:
        did.append(words)
        tell(words)

    if open_ring(settings).create():
        done("made the keys that sign tokens")
    if create_audit_key(settings.keys_directory):
        done("made the key that seals the audit trail")
    if create_signing_key(settings.keys_directory):
        done("made the key that signs models")
    if migrate(settings.database_url):
        done("prepared the database")
    if examples:
        _prepare_examples(settings, only, done)
    return did


def _prepare_examples(settings: Settings, only: Sequence[str], done: Callable[[str], None]) -> None:
    from ..errors import PackingError
    from ..packaging.extras import require_train_extra

    try:
        require_train_extra()
    except PackingError as missing:
        done(f"left the example models out: {missing}")
        return
    from ..examples.build import build_examples

    for name in build_examples(settings, only):
        done(f"trained, proved and signed the example model {name}")

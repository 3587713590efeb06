"""``models``: look after the packages of a home; what else can be done to a model has files of its own beside this."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import home_option, json_option, load, say

if TYPE_CHECKING:
    from ..models.store import Store


@click.group(name="models", short_help="Pack trained models and look after the packages.")
def command() -> None:
    """Pack trained models and look after the packages.

    What is packed serves from the next start, reload or `models load` on; what is decided about a model takes effect at
    once where a server runs on the home.
    """


@command.command(name="list")
@home_option
@json_option
def list_(home: Path, as_json: bool) -> None:
    """List every version of every model, and which of them serves."""
    from .models_shown import listing, listing_lines

    rows = listing(store_of(home))
    say(rows, as_json, listing_lines(rows))


@command.command()
@click.argument("name")
@click.argument("version", required=False)
@home_option
@json_option
def show(name: str, version: str | None, home: Path, as_json: bool) -> None:
    """Show what NAME takes and gives, where it comes from and how it was proven; by default the version that serves."""
    from ..errors import PackageRefused
    from ..models.card import Card, read_card
    from .models_shown import show_lines, summary

    store = store_of(home)
    package = store.verify(name, version or serving_version(store, name))
    digest = package.artifact.digest
    try:
        card = read_card(store, name, package.manifest.version, digest)
    except PackageRefused as refused:  # the package is good all the same
        click.echo(f"secure-ml-api: warning: evaluations are not shown: {refused}", err=True)
        card = Card(name=name, version=package.manifest.version, digest=digest)
    evaluations = [evaluation.model_dump(mode="json") for evaluation in card.evaluations]
    told = {**summary(package.manifest, digest), "evaluations": evaluations}
    say(told, as_json, show_lines(package.manifest, digest, card))


@command.command()
@click.argument("name", required=False)
@click.argument("version", required=False)
@home_option
@json_option
def verify(name: str | None, version: str | None, home: Path, as_json: bool) -> None:
    """Check signature and digests, load the model and prove its answers again: VERSION of NAME, all of NAME, or all.

    Exits with 1 when any package is refused.
    """
    from ..errors import PackageRefused
    from ..models.installed import installed
    from .models_shown import verify_lines, verify_rows

    settings = load(home)
    runtimes = installed(settings.inference.runtimes, settings.inference.architectures)
    rows = verify_rows(store_of(home), name, version, runtimes)
    say(rows, as_json, verify_lines(rows))
    refused = [row for row in rows if not row["verified"]]
    if refused:
        raise PackageRefused(f"{len(refused)} of {len(rows)} packages refused; {refused[0]['reason']}")


@command.command()
@click.argument("name")
@click.argument("version")
@home_option
@json_option
def remove(name: str, version: str, home: Path, as_json: bool) -> None:
    """Delete VERSION of NAME for good; the one in production only as the last. A running server lets go of it."""
    from .models_life import take_effect

    change(home, "model.remove", name, version, lambda store: store.remove(name, version))
    effect = take_effect(load(home), name)
    done = f"removed {name}/{version}"
    line = f"{done} {effect.words}" if effect.told["workers"] else done  # of the disk it is gone at once
    say({"removed": {"name": name, "version": version}, **effect.told}, as_json, [line])


@command.command()
@click.argument("name")
@click.argument("version")
@click.option("--if", "conditions", multiple=True, metavar="METRIC>=NUMBER", help="Only if this holds; repeat it.")
@home_option
@json_option
def promote(name: str, version: str, conditions: tuple[str, ...], home: Path, as_json: bool) -> None:
    """Let VERSION of NAME answer when a caller asks for none.

    The conditions are about the metrics that VERSION was packed with, or evaluated to since; all of them must hold.
    """
    from .conditions import require

    if conditions:
        from ..models.card import metrics_of

        require(conditions, f"{name}/{version}", metrics_of(store_of(home), name, version))
    aliases = change(home, "model.promote", name, version, lambda store: store.promote(name, version))
    _say_aliases(home, name, aliases, as_json)


@command.command()
@click.argument("name")
@home_option
@json_option
def rollback(name: str, home: Path, as_json: bool) -> None:
    """Let the version of NAME that served before the last promotion serve again."""
    aliases = change(home, "model.rollback", name, None, lambda store: store.rollback(name))
    _say_aliases(home, name, aliases, as_json)


def change(home: Path, event: str, name: str, version: str | None, change: Callable[[Store], Any]) -> Any:
    """Make ``change`` to the store of ``home``, and write it to the audit trail with how it ended."""
    from ..errors import HomeError
    from ..models.store import Store
    from .stores import opened, operator

    settings = load(home)
    with opened(settings) as stores:
        outcome = "ok"
        try:
            return change(Store.of(settings))
        except OSError as error:
            outcome = type(error).__name__
            where = f"{error.filename or settings.models_directory}: {error.strerror}"
            if error.errno in (errno.EROFS, errno.EACCES):
                where = f"{settings.models_directory}: {error.strerror}; decide about models where it can be written"
            raise HomeError(where) from None
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            stores.trail.record(event, actor=operator(), outcome=outcome, model=name, version=version)


def store_of(home: Path) -> Store:
    """The store of ``home``; raises HomeError for one that is missing, which has no models for another reason."""
    from ..errors import HomeError
    from ..models.store import Store

    settings = load(home)
    if not settings.home.is_dir():
        raise HomeError(f"{settings.home} is missing: run `secure-ml-api init` with the same --home")
    return Store.of(settings)


def serving_version(store: Store, name: str) -> str:
    """The version of ``name`` that serves; raises PackageRefused when there is none."""
    from ..errors import PackageRefused
    from ..models.aliases import choose_version

    versions = store.versions(name)
    chosen = choose_version(versions, store.aliases(name)) if versions else None
    if chosen is None:
        raise PackageRefused(f"{name}: there is no such model; `secure-ml-api models list` names those that are")
    return chosen


def _say_aliases(home: Path, name: str, aliases: dict[str, str], as_json: bool) -> None:
    from .models_life import take_effect

    effect = take_effect(load(home), name)
    line = f"{name}/{aliases['production']} is in production {effect.words}"
    say({"name": name, "aliases": aliases, **effect.told}, as_json, [line])


def _add_commands() -> None:
    from .models_evaluate import evaluate
    from .models_life import COMMANDS
    from .models_pack import pack

    for each in (pack, *COMMANDS, evaluate):
        command.add_command(each)


_add_commands()

"""``models``: pack trained models and look after the packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import home_option, json_option, load, say

if TYPE_CHECKING:
    from ..models.store import Store
    from ..tensors import Task

_PICKLE_WARNING = (
    "secure-ml-api: warning: a pickle runs whatever code is in it when it is read, as you, with your files and keys; "
    "go on only with a file that you made yourself or whose maker you trust"
)


@click.group(name="models", short_help="Pack trained models and look after the packages.")
def command() -> None:
    """Pack trained models and look after the packages.

    What is packed serves from the next start, reload or `models load` on; what is decided about a model takes effect at
    once where a server runs on the home.
    """


@command.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="Name under which the model serves.")
@click.option("--version", help="Version; by default one above the highest there is.")
@click.option(
    "--sample",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rows to prove the package on, kept in it: CSV with the feature names in its first row, Parquet, or "
    "images as a .npy array [rows, height, width, channels].",
)
@click.option("--target", help="Column of the sample that is the answer and not a feature.")
@click.option("--trust-pickle", is_flag=True, help="Read a pickle, joblib or .pt2 file too, in a process of its own.")
@click.option(
    "--allow-native",
    "--allow-sklearn",
    "allow_native",
    is_flag=True,
    help="Let the library that trained it serve it if no graph does as well.",
)
@click.option("--label", "labels", multiple=True, metavar="CLASS=WORD", help="A class in words, such as 0=setosa.")
@click.option("--bounds", multiple=True, metavar="FEATURE=MIN:MAX", help="What a feature may be; a side may be empty.")
@click.option("--task", type=click.Choice(["classification", "regression", "anomaly"]), help="If the model cannot say.")
@click.option("--description", default="", help="What the model is for, in a sentence.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="A measure of its quality.")
@home_option
@json_option
def pack(
    *,
    source: Path,
    name: str,
    version: str | None,
    sample: Path,
    target: str | None,
    trust_pickle: bool,
    allow_native: bool,
    labels: tuple[str, ...],
    bounds: tuple[str, ...],
    task: Task | None,
    description: str,
    metrics: tuple[str, ...],
    home: Path,
    as_json: bool,
) -> None:
    """Turn the trained model in SOURCE into a signed package, once it is proven to answer the same.

    Every row of the sample, and rows made from it, must get the trained model's class, and its numbers to within a
    stated tolerance; otherwise nothing is packed. Of the forms that are proven the fastest is kept.

    SOURCE is a skops file, a .json or .ubj of XGBoost, a .txt of LightGBM, or a .keras file; with --trust-pickle also a
    pickle or a .pt2 of PyTorch.

    With --allow-native the trained model itself is one of those forms. Serving it takes its library (the extra
    "train", "xgboost", "lightgbm", "torch" or "tensorflow") wherever the server runs, which no other package needs.
    """
    from ..packaging.options import Options
    from ..packaging.pack import pack as pack_file
    from .models_shown import pack_lines, parse_bounds, parse_pairs, summary

    options = Options(
        labels=parse_pairs("--label", labels),
        bounds=parse_bounds(bounds),
        task=task,
        target=target,
        description=description,
        metrics={key: _number(key, value) for key, value in parse_pairs("--metric", metrics).items()},
        allow_native=allow_native,
    )
    if trust_pickle:
        click.echo(_PICKLE_WARNING, err=True)

    def do(store: Store) -> Any:
        return pack_file(
            source, store=store, name=name, version=version, sample=sample, trust_pickle=trust_pickle, options=options
        )

    result = change(home, "model.pack", name, version, do)
    manifest = result.manifest
    aliases = _store(home).aliases(name)
    say(summary(manifest, result.digest), as_json, pack_lines(manifest, result.digest, aliases))


@command.command(name="list")
@home_option
@json_option
def list_(home: Path, as_json: bool) -> None:
    """List every version of every model, and which of them serves."""
    from .models_shown import listing, listing_lines

    rows = listing(_store(home))
    say(rows, as_json, listing_lines(rows))


@command.command()
@click.argument("name")
@click.argument("version", required=False)
@home_option
@json_option
def show(name: str, version: str | None, home: Path, as_json: bool) -> None:
    """Show what NAME takes and gives, where it comes from and how it was proven; by default the version that serves."""
    from ..models.card import read_card
    from .models_shown import show_lines, summary

    store = _store(home)
    package = store.verify(name, version or serving_version(store, name))
    digest = package.artifact.digest
    card = read_card(store, name, package.manifest.version, digest)
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
    from ..models.store import Store
    from .models_shown import verify_lines, verify_rows

    settings = load(home)
    runtimes = installed(settings.inference.runtimes, settings.inference.architectures)
    rows = verify_rows(Store.of(settings), name, version, runtimes)
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
    """Delete VERSION of NAME for good; the one in production only as the last."""
    change(home, "model.remove", name, version, lambda store: store.remove(name, version))
    say({"removed": {"name": name, "version": version}}, as_json, [f"removed {name}/{version}"])


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

        require(conditions, f"{name}/{version}", metrics_of(_store(home), name, version))
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
            raise HomeError(f"{error.filename or settings.models_directory}: {error.strerror}") from None
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            stores.trail.record(event, actor=operator(), outcome=outcome, model=name, version=version)


def _store(home: Path) -> Store:
    from ..models.store import Store

    return Store.of(load(home))


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


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{key} must be a number", param_hint="--metric") from None


def _add_life() -> None:
    from .models_evaluate import evaluate
    from .models_life import COMMANDS

    for each in (*COMMANDS, evaluate):
        command.add_command(each)


_add_life()

"""``models evaluate``: how good a version is on rows whose answers are known, beside the one that serves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import home_option, json_option, load, say

if TYPE_CHECKING:
    from ..models.card import Compared, Evaluation
    from ..models.model import Model
    from ..models.store import Store
    from ..packaging.evaluation import Difference, Evaluated
    from ..settings import Settings


@click.command()
@click.argument("model", metavar="NAME[:VERSION]")
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rows with their true answers: CSV with the names in its first row, Parquet, or a .npz with an array for each "
    "input as callers send it, such as `input` [rows, 8, 8, 1] of images, and one of answers.",
)
@click.option("--target", help="The column or array of the true answers; by default the one called `target` or `y`.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Where to draw it, as SVG.")
@home_option
@json_option
def evaluate(*, model: str, data: Path, target: str | None, plot: Path | None, home: Path, as_json: bool) -> None:
    """Measure how good a version is, by default the one that serves, and keep that in its card.

    Another version is compared with the one that serves, on the same rows.
    """
    from ..models.card import Evaluation, add_evaluation, read_card
    from ..models.store import Store
    from ..packaging.evaluation import compare
    from ..packaging.evaluation import evaluate as measure
    from ..packaging.extras import require_train_extra
    from ..packaging.known_rows import read_known_rows
    from .models import change, serving_version

    if "/" in model:
        raise click.UsageError(f"say {model.replace('/', ':', 1)!r}: NAME:VERSION, with a colon")
    require_train_extra()
    settings = load(home)
    store = Store.of(settings)
    name, _, version = model.partition(":")
    serving = serving_version(store, name)
    version = version or serving
    loaded = _loaded(settings, store, name, version)
    beside = None if version == serving else _loaded(settings, store, name, serving)
    rows, target = read_known_rows(data, [each.signature for each in (loaded, beside) if each is not None], target)
    found = measure(loaded, rows, target)
    difference = None if beside is None else compare(found, measure(beside, rows, target))
    evaluation = Evaluation(
        at=datetime.now(UTC).replace(microsecond=0),
        data_sha256=hashlib.sha256(data.read_bytes()).hexdigest(),
        rows=rows.rows,
        metrics=found.metrics,
        by_class=found.by_class,
        positive_class=found.positive_class,
        compared=None if beside is None or difference is None else _compared(beside, difference),
    )

    def keep(store: Store) -> Any:
        return add_evaluation(store, read_card(store, name, version, loaded.digest), evaluation)

    if plot is not None:
        _draw(plot, found, f"{name}/{version} on {rows.rows} rows")
    change(home, "model.evaluate", name, version, keep)
    told = {"name": name, "version": version, **evaluation.model_dump(mode="json")}
    say(told, as_json, _lines(f"{name}/{version}", found, evaluation))


def _compared(beside: Model, difference: Difference) -> Compared:
    from ..models.card import Compared

    told = {"with": beside.version, "digest": beside.digest, "metric": difference.metric}
    found = {"difference": difference.difference, "interval_95": (difference.low, difference.high)}
    return Compared.model_validate({**told, **found, "verdict": difference.verdict})


def _loaded(settings: Settings, store: Store, name: str, version: str) -> Model:
    from ..models.installed import installed
    from ..models.model import load_model

    runtimes = installed(settings.inference.runtimes, settings.inference.architectures)
    return load_model(store.verify(name, version), {runtime.name: runtime for runtime in runtimes})


def _draw(plot: Path, found: Evaluated, title: str) -> None:
    from ..errors import PackingError
    from ..packaging.figure import figure

    try:
        plot.write_text(figure(found, title), "utf-8")
    except OSError as error:
        raise PackingError(f"{plot} cannot be written: {error.strerror}") from None


def _lines(where: str, found: Evaluated, evaluation: Evaluation) -> Iterator[str]:
    from .card_lines import compared_line

    yield f"{where} on {evaluation.rows} rows"
    if found.positive_class is not None:
        yield f"  precision, recall and f1 are of the positive class, {found.positive_class}"
    yield from (f"  {metric}: {value:.4g}" for metric, value in found.metrics.items())
    for word, metrics in found.by_class.items():
        yield f"  {word}: " + ", ".join(f"{metric} {value:.3g}" for metric, value in metrics.items())
    if evaluation.compared is not None:
        yield compared_line(evaluation.compared)

"""``models pack``: a trained model becomes a signed package."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
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
_LONGEST_NAME = 200


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
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
@click.option("--architecture", metavar="NAME", help="What safetensors weights are the weights of: an entry point.")
@click.option("--parameter", "parameters", multiple=True, metavar="KEY=JSON", help="An argument of the architecture.")
@click.option("--description", default="", help="What the model is for, in a sentence.")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file it learnt from: its SHA-256 and number of rows are kept, and nothing else of it.",
)
@click.option(
    "--about-data",
    "about",
    multiple=True,
    metavar="KEY=TEXT",
    help="What to tell of that data: name, description, licence, as_of (a day) or rows; repeat it.",
)
@click.option("--by", "packed_by", default="", help="Who packs it, for its card.")
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
    architecture: str | None,
    parameters: tuple[str, ...],
    description: str,
    data: Path | None,
    about: tuple[str, ...],
    packed_by: str,
    metrics: tuple[str, ...],
    home: Path,
    as_json: bool,
) -> None:
    """Turn the trained model in SOURCE into a signed package, once it is proven to answer the same.

    Every row of the sample, and rows made from it, must get the trained model's class, and its numbers to within a
    stated tolerance; otherwise nothing is packed. Of the forms that are proven the fastest is kept.

    SOURCE is a skops file, a .json or .ubj of XGBoost, a .txt of LightGBM, a .keras file, the folder of a SavedModel,
    or a .safetensors file with --architecture; with --trust-pickle also a pickle or a .pt2 of PyTorch.

    With --allow-native the trained model itself is one of those forms. Serving it takes its library (the extra
    "train", "xgboost", "lightgbm", "torch" or "tensorflow") wherever the server runs, which no other package needs.
    """
    from ..models.changes import Changes
    from ..packaging.options import Options
    from ..packaging.pack import pack as pack_file
    from ..packaging.training_data import training_data
    from .models import change, store_of
    from .models_shown import pack_lines, parse_bounds, parse_pairs, summary

    if len(packed_by) > _LONGEST_NAME:
        raise click.BadParameter(f"at most {_LONGEST_NAME} characters", param_hint="--by")
    options = Options(
        labels=parse_pairs("--label", labels),
        bounds=parse_bounds(bounds),
        task=task,
        target=target,
        description=description,
        training_data=training_data(_about(about), data),
        packed_by=packed_by,
        metrics={key: _number(key, value) for key, value in parse_pairs("--metric", metrics).items()},
        architecture=architecture,
        parameters={key: _json(key, value) for key, value in parse_pairs("--parameter", parameters).items()},
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
    running = bool(Changes(load(home).run_directory).reports())
    lines = pack_lines(manifest, result.digest, store_of(home).aliases(name), running=running)
    say(summary(manifest, result.digest), as_json, [*_truth_lines(result.truths), *lines])


def _truth_lines(features: Sequence[str]) -> Iterator[str]:
    if features:
        named = ", ".join(map(repr, features[:10])) + (", …" if len(features) > 10 else "")
        yield f"callers send 1 for true and 0 for false, in {named}"


def _about(texts: tuple[str, ...]) -> dict[str, str]:
    """What is told of the data, by its key; here the first ``=`` divides, as a sentence may hold more."""
    pairs = [text.partition("=") for text in texts]
    if any(not key or not value for key, _, value in pairs):
        raise click.BadParameter("say KEY=TEXT, such as licence=CC-BY-4.0", param_hint="--about-data")
    return {key: value for key, _, value in pairs}


def _json(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise click.BadParameter(f"{key} must be JSON, such as 12 or '\"relu\"'", param_hint="--parameter") from None


def _number(key: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise click.BadParameter(f"{key} must be a finite number", param_hint="--metric")
    return number

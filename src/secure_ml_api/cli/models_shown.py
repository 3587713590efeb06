"""What the commands of ``models`` read from their options and say about packages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from ..errors import PackageRefused
from ..models.aliases import PRODUCTION, choose_version
from ..models.card import Card
from ..models.manifest import Manifest, ParityReport
from ..models.recheck import recheck_package
from ..models.reference import LEAST_ROWS
from ..models.store import Store
from ..runtimes.protocol import Runtime
from ..tensors import Column
from .card_lines import data_lines, evaluation_lines


def parse_pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """``KEY=VALUE`` texts as a mapping; the last ``=`` divides, as a feature's name may hold one."""
    pairs = {}
    for text in texts:
        key, divider, value = text.rpartition("=")
        if not divider or not key or not value:
            raise click.BadParameter(f"{text!r} is not of the form KEY=VALUE", param_hint=option)
        if key in pairs:
            raise click.BadParameter(f"{key!r} is given twice", param_hint=option)
        pairs[key] = value
    return pairs


def parse_bounds(texts: Sequence[str]) -> dict[str, tuple[float | None, float | None]]:
    """``FEATURE=MIN:MAX`` texts as a mapping; an empty side is open."""
    bounds = {}
    for feature, span in parse_pairs("--bounds", texts).items():
        low, divider, high = span.partition(":")
        try:
            if not divider or not all(math.isfinite(float(side)) for side in (low, high) if side):
                raise ValueError
            bounds[feature] = (float(low) if low else None, float(high) if high else None)
        except ValueError:
            form = "of the form MIN:MAX, finite numbers of which one may be left out"
            raise click.BadParameter(f"{span!r} is not {form}", param_hint="--bounds") from None
    return bounds


def summary(manifest: Manifest, digest: str) -> dict[str, Any]:
    """A package for programs."""
    content = manifest.model_dump(mode="json")
    return {"name": manifest.name, "version": manifest.version, "digest": digest, "manifest": content}


def pack_lines(
    manifest: Manifest,
    digest: str,
    aliases: Mapping[str, str],
    *,
    running: bool = False,
) -> Iterator[str]:
    """A package that was just made, for people; ``running`` is whether a server runs on its home."""
    name, version = manifest.name, manifest.version
    yield f"packed {name}/{version} {digest}"
    if manifest.parity is not None:
        yield from _parity_lines(manifest.parity)
    yield from _timing_lines(manifest)
    yield from _reference_lines(manifest)
    yield from _need_lines(manifest)
    if aliases.get(PRODUCTION, version) == version:
        load = f", and the one that runs after `secure-ml-api models load {name}`" if running else ""
        yield f"the next start or reload of the server serves it{load}"
    else:
        promote = f"secure-ml-api models promote {name} {version}"
        yield f"{name}/{aliases[PRODUCTION]} stays in production; change that with `{promote}`"


def show_lines(manifest: Manifest, digest: str, card: Card) -> Iterator[str]:
    """A package in full, for people."""
    signature, origin = manifest.signature, manifest.provenance
    made = f"{manifest.created:%Y-%m-%d %H:%M}" + (f" by {origin.packed_by}" if origin.packed_by else "")
    yield f"{manifest.name}/{manifest.version}  {signature.task}, {manifest.runtime}, made {made}"
    if manifest.description:
        yield manifest.description
    yield f"digest: {digest}"
    libraries = ", ".join(f"{library} {version}" for library, version in sorted(origin.libraries.items()))
    yield f"from: {origin.estimator} ({origin.source}) as {origin.graph}; {libraries}"
    if origin.hyperparameters:
        yield f"learnt with: {', '.join(f'{name}={value}' for name, value in origin.hyperparameters.items())}"
    if manifest.training_data is not None:
        yield from data_lines(manifest.training_data)
    yield "features:"
    yield from (f"  {_column_line(column)}" for column in signature.columns)
    if signature.classes:
        pairs = (f"{value} = {word}" for value, word in zip(signature.classes, signature.labels, strict=True))
        yield f"classes: {', '.join(pairs)}"
    yield f"outputs: {', '.join(f'{spec.name} {spec.datatype}' for spec in signature.outputs)}"
    yield from (f"{metric}: {value:g}" for metric, value in sorted(manifest.metrics.items()))
    yield from evaluation_lines(card)
    if manifest.parity is not None:
        yield from _parity_lines(manifest.parity)
    yield from _timing_lines(manifest)
    yield from _need_lines(manifest)


def listing(store: Store) -> list[dict[str, Any]]:
    """Every version in ``store``, verified, with whether it serves."""
    return [row for name in store.names() for row in _versions(store, name)]


def _versions(store: Store, name: str) -> list[dict[str, Any]]:
    rows = [_version(store, name, version) for version in store.versions(name)]
    try:
        aliases = store.aliases(name)
    except PackageRefused:
        # A server goes on without the file and names it in its log; `doctor` names it too.
        aliases = {}
    serving = choose_version([row["version"] for row in rows if row["verified"]], aliases)
    for row in rows:
        row["serving"] = row["version"] == serving
        row["aliases"] = sorted(alias for alias, version in aliases.items() if version == row["version"])
    return rows


def _version(store: Store, name: str, version: str) -> dict[str, Any]:
    try:
        package = store.verify(name, version)
    except PackageRefused as refused:
        return {"name": name, "version": version, "verified": False, "reason": str(refused)}
    manifest = package.manifest
    return {
        "name": name,
        "version": version,
        "verified": True,
        "reason": "",
        "task": manifest.signature.task,
        "runtime": manifest.runtime,
        "created": manifest.created.isoformat(),
        "digest": package.artifact.digest,
    }


def listing_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        yield "no models; pack one: secure-ml-api models pack"
    for row in rows:
        where = f"{row['name']}/{row['version']}"
        if not row["verified"]:
            yield f"{where}  REFUSED  {row['reason']}"
            continue
        serving = "serves" if row["serving"] else "-"
        yield "  ".join([where, serving, row["task"], row["runtime"], row["created"], *row["aliases"]])


def verify_rows(
    store: Store, name: str | None, version: str | None, runtimes: Sequence[Runtime]
) -> list[dict[str, Any]]:
    """Signature, digests and parity of the packages that were asked for."""
    names = store.names() if name is None else [name]
    wanted = [(each, one) for each in names for one in ([version] if version else store.versions(each))]
    if not wanted:
        raise PackageRefused(f"{name}: there is no such model" if name else "there are no models; pack one")
    rows = []
    for each, one in wanted:
        row: dict[str, Any] = {"name": each, "version": one, "verified": True, "reason": ""}
        try:
            comparison = recheck_package(store.verify(each, one), runtimes)
            row["rows"] = len(comparison.differing)
            row["largest_differences"] = comparison.largest_differences
        except PackageRefused as refused:
            row |= {"verified": False, "reason": str(refused)}
        rows.append(row)
    return rows


def verify_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        where = f"{row['name']}/{row['version']}"
        if row["verified"]:
            yield f"{where}  signature, digests and answers to {row['rows']} sample rows hold"
        else:
            yield f"{where}  REFUSED  {row['reason']}"


def _parity_lines(parity: ParityReport) -> Iterator[str]:
    yield f"answers as the trained model does on {parity.sample_rows} sample and {parity.generated_rows} generated rows"
    for output, difference in parity.largest_differences.items():
        yield f"  largest difference of {output}: {difference:.2g}"
    if parity.near_ties:
        differing = f"{parity.differing_near_ties} of them answered otherwise"
        yield f"  near-ties, where rounding decides: {parity.near_ties} generated rows, {differing}"


def _reference_lines(manifest: Manifest) -> Iterator[str]:
    """What the rows of callers will be compared with."""
    reference, parity = manifest.reference, manifest.parity
    if reference is not None:
        yield f"drift is measured on {len(reference.features)} features, against {reference.rows} rows of the sample"
    elif parity is not None and parity.sample_rows < LEAST_ROWS:
        yield f"drift is not measured: the sample has {parity.sample_rows} rows, and it takes {LEAST_ROWS}"
    else:
        yield "drift is not measured: no feature of the sample is a number that varies"


def _timing_lines(manifest: Manifest) -> Iterator[str]:
    """The forms that were timed against each other when the model was packed, the kept one marked."""
    counts = sorted({timing.rows for timing in manifest.timings})
    if not counts:
        return
    yield f"time of a run, in microseconds, on {', '.join(map(str, counts))} rows (median, where it was packed):"
    measured = {(timing.graph, timing.rows): timing.microseconds for timing in manifest.timings}
    for graph in dict.fromkeys(timing.graph for timing in manifest.timings):
        cells = [measured.get((graph, count)) for count in counts]
        figures = "  ".join(f"{'-' if cell is None else f'{cell:.1f}':>10}" for cell in cells)
        yield f"  {figures}  {graph}{'  (kept)' if graph == manifest.provenance.graph else ''}"


def _need_lines(manifest: Manifest) -> Iterator[str]:
    natives = {
        "sklearn": ("scikit-learn", "train"),
        "xgboost": ("XGBoost", "xgboost"),
        "lightgbm": ("LightGBM", "lightgbm"),
        "torch": ("PyTorch", "torch"),
        "tensorflow": ("TensorFlow", "tensorflow"),
    }
    if manifest.runtime in natives:
        library, extra = natives[manifest.runtime]
        yield f"{library} itself runs it: the server needs `pip install 'secure-ml-api[{extra}]'`"


def _column_line(column: Column) -> str:
    parts = [column.name, column.datatype]
    if column.minimum is not None or column.maximum is not None:
        low = "" if column.minimum is None else f"{column.minimum:g}"
        high = "" if column.maximum is None else f"{column.maximum:g}"
        parts.append(f"{low}:{high}")
    if column.choices is not None:
        parts.append(f"one of {', '.join(column.choices)}")
    if column.allow_missing:
        parts.append("may be missing")
    return "  ".join(parts)

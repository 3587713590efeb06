"""``python -m loadtests.forms``: the form that packing keeps of six models, beside the two forms that they had before.

All columns are measured in the same run, one after the other and on one thread, so their ratios hold when the machine
has a slow hour; the stock graph is the one that skl2onnx makes, and scikit-learn's column is its ``predict`` alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from secure_ml_api.examples.catalogue import EXAMPLES
from secure_ml_api.models.manifest import Timing
from secure_ml_api.packaging.build import Built, build
from secure_ml_api.packaging.candidates import CANDIDATES
from secure_ml_api.packaging.extras import quiet
from secure_ml_api.packaging.natives import open_model
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.stopwatch import ROW_COUNTS, Entrant, geometric_mean, race
from secure_ml_api.packaging.subject import Subject
from secure_ml_api.packaging.table import Table
from secure_ml_api.runtimes.sklearn import SklearnSession

_SKLEARN, _STOCK, _KEPT = "scikit-learn", "stock graph", "kept"
# Races of a model, each over in a second or two; the median of their medians counts.
_ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one number of rows, in microseconds."""

    model: str
    rows: int
    sklearn: float
    stock: float
    kept: float
    form: str

    @property
    def ratio(self) -> float:
        """How many times as fast as the better one of the other two the kept form is."""
        return min(self.sklearn, self.stock) / self.kept


def six_models() -> dict[str, Callable[[], tuple[Any, Table]]]:
    """Each trained on data that ships with scikit-learn, or made with a seed; five are those of the example models."""

    def example(name: str) -> Callable[[], tuple[Any, Table]]:
        def train() -> tuple[Any, Table]:
            made = EXAMPLES[name]()
            return made.estimator, made.sample

        return train

    def forest() -> tuple[Any, Table]:
        from sklearn.datasets import load_breast_cancer
        from sklearn.ensemble import RandomForestClassifier

        data = load_breast_cancer()
        model = RandomForestClassifier(100, random_state=42).fit(data.data, data.target)
        return model, Table.of_matrix(data.data, [str(name) for name in data.feature_names])

    return {
        "decision tree": example("iris-tree"),
        "linear regression": example("housing"),
        "SVC, scaled and calibrated": example("cancer-svm"),
        "random forest, 100 trees": forest,
        "nearest neighbours (150 × 4)": example("iris"),
        "isolation forest, 100 trees": example("outliers"),
    }


def measure(name: str, estimator: Any, sample: Table) -> list[Row]:
    """Pack the model, then race the kept form against what scikit-learn and the stock converter make of it."""
    with quiet():
        subject = Subject.of(estimator, sample, Options())
        built = build(estimator, sample, Options())
        entrants = _entrants(subject, built)
        # scikit-learn by itself: whoever came after it in a turn would find the caches full of something else.
        rounds = [(*race(entrants[:1]), *race(entrants[1:])) for _ in range(_ROUNDS)]

    def middle(column: str, rows: int) -> float:
        return statistics.median(_time(timings, column, rows) for timings in rounds)

    form = built.blueprint.provenance.graph
    return [
        Row(name, rows, middle(_SKLEARN, rows), middle(_STOCK, rows), middle(_KEPT, rows), form) for rows in ROW_COUNTS
    ]


def _entrants(subject: Subject, built: Built) -> list[Entrant]:
    stock = CANDIDATES[0]
    reference = subject.reference(stock.datatype)
    graph = open_model("onnx", stock.build(subject.trained, reference.signature), reference.signature)
    kept = built.blueprint
    session = open_model(kept.runtime, built.model, kept.signature)
    kept_rows = subject.reference(kept.signature.output_datatype).rows
    exact = subject.reference("FP64")
    outputs = [spec.name for spec in reference.signature.outputs]
    return [
        Entrant(_SKLEARN, SklearnSession(subject.trained.estimator, exact.signature), exact.rows, outputs[:1]),
        Entrant(_STOCK, graph, reference.rows, outputs),
        Entrant(_KEPT, session, kept_rows, outputs),
    ]


def _time(timings: Sequence[Timing], column: str, rows: int) -> float:
    return next(timing.microseconds for timing in timings if (timing.graph, timing.rows) == (column, rows))


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown: times at 1 / 32 / 1000 rows, and how many times as fast the kept form is."""
    lines = [
        "| model | kept form | scikit-learn | stock graph | kept | times the better one |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        columns = [" / ".join(_micro(getattr(row, field)) for row in own) for field in ("sklearn", "stock", "kept")]
        ratios = " / ".join(f"{row.ratio:.1f}" for row in own)
        lines.append(f"| {model} | {own[0].form} | {' | '.join(columns)} | {ratios} |")
    return "\n".join(lines)


def _micro(time: float) -> str:
    if time >= 1000:
        return f"{time / 1000:.1f} ms"
    return f"{time:.0f} µs" if time >= 100 else f"{time:.1f} µs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 1 when a kept form is slower than the better one of the others by more than a tenth on the mean."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.forms", description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    chosen = parser.parse_args(arguments)
    rows = [row for name, train in six_models().items() for row in measure(name, *train())]
    print(f"Times of a run on {' / '.join(map(str, ROW_COUNTS))} rows.\n\n{table(rows)}")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([{**asdict(row), "ratio": row.ratio} for row in rows], indent=2))
    return int(any(_mean_ratio(rows, model) < 0.9 for model in {row.model for row in rows}))


def _mean_ratio(rows: Sequence[Row], model: str) -> float:
    """Geometric mean over the numbers of rows of the better other form's time against the kept one's."""
    own = [row for row in rows if row.model == model]
    pairs = [("other", row.rows, min(row.sklearn, row.stock)) for row in own]
    pairs += [("kept", row.rows, row.kept) for row in own]
    timings = [Timing(graph=graph, rows=count, microseconds=time) for graph, count, time in pairs]
    return geometric_mean(timings, "other") / geometric_mean(timings, "kept")


if __name__ == "__main__":
    sys.exit(main())

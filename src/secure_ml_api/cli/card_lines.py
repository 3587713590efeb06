"""What a model learnt from and how good it was found to be, for people."""

from __future__ import annotations

from collections.abc import Iterator

from ..models.card import Card, Compared
from ..models.manifest import TrainingData


def data_lines(data: TrainingData) -> Iterator[str]:
    """What a model learnt from."""
    parts = {
        "": data.name,
        "rows: ": "" if data.rows is None else str(data.rows),
        "as of ": "" if data.as_of is None else data.as_of.isoformat(),
        "licence: ": data.licence,
        "sha256: ": data.sha256 or "",
    }
    yield f"data: {', '.join(f'{word}{part}' for word, part in parts.items() if part)}"
    if data.description:
        yield f"  {data.description}"


def compared_line(compared: Compared) -> str:
    """How a version did beside the one that served."""
    low, high = compared.interval_95
    interval = f"95 % interval {low:+.3g} to {high:+.3g}"
    where = f"beside {compared.served} ({interval})"
    return f"{compared.verdict} by {compared.metric}: {compared.difference:+.3g} {where}"


def evaluation_lines(card: Card) -> Iterator[str]:
    """Each evaluation, oldest first."""
    for evaluation in card.evaluations:
        found = ", ".join(f"{metric} {value:.4g}" for metric, value in evaluation.metrics.items())
        if evaluation.positive_class is not None:
            found += f" (precision, recall, f1: of {evaluation.positive_class})"
        yield f"evaluated {evaluation.at:%Y-%m-%d %H:%M} on {evaluation.rows} rows: {found}"
        if evaluation.compared is not None:
            yield f"  {compared_line(evaluation.compared)}"

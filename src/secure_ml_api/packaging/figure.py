"""A picture of an evaluation as SVG: a confusion matrix, residuals, or the scores of anomalies and others."""

from __future__ import annotations

from xml.sax.saxutils import escape

import numpy as np

from .evaluation import Evaluated
from .table import Array

_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 440, 120, 50
_INK, _PAPER, _MAIN, _OTHER = "#1f2933", "#ffffff", "#2563eb", "#dc2626"
# So many points show the shape of a cloud; more only make the file large.
_MOST_POINTS = 2000


def figure(evaluated: Evaluated, title: str) -> str:
    """The picture that fits the task."""
    task = evaluated.signature.task
    if task == "classification":
        parts = _confusion(evaluated)
    elif task == "regression":
        parts = _residuals(evaluated.truth, evaluated.answers["value"])
    else:
        parts = _scores(evaluated.truth, evaluated.answers["score"])
    body = "\n".join([_text(_WIDTH / 2, 24, title, size=15, weight="bold"), *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="{_PAPER}"/>\n{body}\n</svg>\n'
    )


def _confusion(evaluated: Evaluated) -> list[str]:
    """True classes down, answered ones across; a cell is as dark as its share of the true class."""
    signature = evaluated.signature
    values = [value if isinstance(value, int) else at for at, value in enumerate(signature.classes)]
    label, truth = evaluated.answers["label"], evaluated.truth
    counts = np.array([[int(((truth == row) & (label == column)).sum()) for column in values] for row in values])
    size = min(_WIDTH - _LEFT - 30, _HEIGHT - _TOP - 70) / len(values)
    parts = []
    for row, name in enumerate(signature.labels):
        parts.append(_text(_LEFT - 8, _TOP + (row + 0.5) * size + 4, name[:16], anchor="end"))
        parts.append(_text(_LEFT + (row + 0.5) * size, _TOP + len(values) * size + 18, name[:10]))
        for column in range(len(values)):
            share = counts[row, column] / max(1, counts[row].sum())
            x, y = _LEFT + column * size, _TOP + row * size
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" fill="{_MAIN}" '
                f'fill-opacity="{share:.3f}" stroke="#cbd5e1"/>'
            )
            ink = _PAPER if share > 0.5 else _INK
            parts.append(_text(x + size / 2, y + size / 2 + 4, str(counts[row, column]), fill=ink))
    parts.append(_text(_LEFT + len(values) * size / 2, _TOP + len(values) * size + 42, "answered"))
    parts.append(_text(16, _TOP + len(values) * size / 2, "true", anchor="start"))
    return parts


def _residuals(truth: Array, value: Array) -> list[str]:
    """What was answered too much, over what is true."""
    chosen = np.linspace(0, len(truth) - 1, min(_MOST_POINTS, len(truth))).astype(np.intp)
    residual = (value - truth)[chosen]
    x = _scaled(truth[chosen], 70, _WIDTH - 30)
    reach = float(np.abs(residual).max()) or 1.0
    middle = (_TOP + _HEIGHT - 60) / 2
    y = middle - residual / reach * (middle - _TOP)
    parts = [f'<line x1="70" x2="{_WIDTH - 30}" y1="{middle:.1f}" y2="{middle:.1f}" stroke="{_INK}"/>']
    parts += [
        f'<circle cx="{across:.1f}" cy="{down:.1f}" r="2.5" fill="{_MAIN}" fill-opacity="0.5"/>'
        for across, down in zip(x.tolist(), y.tolist(), strict=True)
    ]
    parts.append(_text(62, _TOP + 4, f"+{reach:.3g}", anchor="end"))
    parts.append(_text(62, 2 * middle - _TOP + 4, f"−{reach:.3g}", anchor="end"))
    parts.append(_text(70, _HEIGHT - 36, f"{float(truth.min()):.3g}", anchor="start"))
    parts.append(_text(_WIDTH - 30, _HEIGHT - 36, f"{float(truth.max()):.3g}", anchor="end"))
    parts.append(_text(_WIDTH / 2, _HEIGHT - 14, "true value; up: answered too much"))
    return parts


def _scores(truth: Array, score: Array) -> list[str]:
    """How many rows have which score: anomalies red, the others blue; below 0 is called an anomaly."""
    edges = np.linspace(float(score.min()), float(score.max()) + 1e-12, 31)
    counts = [np.histogram(score[truth == side], edges)[0] for side in (1, -1)]
    highest = max(1, int(max(each.max() for each in counts)))
    base, width = _HEIGHT - 60, (_WIDTH - 100) / 30
    parts = []
    for each, colour in zip(counts, (_MAIN, _OTHER), strict=True):
        for at, count in enumerate(each.tolist()):
            height = count / highest * (base - _TOP)
            parts.append(
                f'<rect x="{70 + at * width:.1f}" y="{base - height:.1f}" width="{width:.1f}" height="{height:.1f}" '
                f'fill="{colour}" fill-opacity="0.6"/>'
            )
    if score.min() < 0 < score.max():
        zero = 70 + (0 - edges[0]) / (edges[-1] - edges[0]) * (_WIDTH - 100)
        parts.append(f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="{_TOP}" y2="{base}" stroke="{_INK}"/>')
    parts.append(_text(62, _TOP + 4, str(highest), anchor="end"))
    parts.append(_text(70, base + 18, f"{edges[0]:.3g}", anchor="start"))
    parts.append(_text(_WIDTH - 30, base + 18, f"{edges[-1]:.3g}", anchor="end"))
    parts.append(_text(_WIDTH / 2, _HEIGHT - 14, "score; red: anomalies, left of the line: called one"))
    return parts


def _scaled(values: Array, low: float, high: float) -> Array:
    span = float(values.max() - values.min()) or 1.0
    return np.asarray(low + (values - values.min()) / span * (high - low))


def _text(
    x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12, weight: str = "normal", fill: str = _INK
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{fill}"'
    return f"<text {place}>{escape(text)}</text>"

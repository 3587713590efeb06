"""The plot: for each workload a bar for each contender, drawn as SVG without any library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .results import PER_SECOND, PSS_MIB, READY_S, Outcome, Result
from .table import written

_WIDTH = 860
_LABEL_WIDTH = 250
_BAR_HEIGHT = 18
_GAP = 6
_TITLE_HEIGHT = 46
_VALUE_WIDTH = 150
_MARGIN = 20

_KINDS = {
    "throughput": (PER_SECOND, "requests/s, more is better"),
    "memory": (PSS_MIB, "MiB, less is better"),
    "ready": (READY_S, "seconds, less is better"),
}

_STYLE = """
  svg { background: #ffffff; color: #1f2933; font: 13px system-ui, sans-serif; }
  text { fill: #1f2933; } .unit, .value { fill: #52606d; } .title { font-weight: 600; }
  .ours { fill: #0b6e4f; } .other { fill: #9aa5b1; } .failed { fill: #a61b1b; }
  @media (prefers-color-scheme: dark) {
    svg { background: #15191e; } text { fill: #e4e7eb; } .unit, .value { fill: #b3bdc7; }
    .ours { fill: #3ebd93; } .other { fill: #616e7c; } .failed { fill: #f29b9b; }
  }
"""


def plot(outcomes: Sequence[Outcome]) -> str:
    """The whole picture."""
    parts: list[str] = []
    top = float(_MARGIN)
    for outcome in outcomes:
        parts.append(_panel(outcome, top))
        top += _TITLE_HEIGHT + len(outcome.results) * (_BAR_HEIGHT + _GAP) + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top:.0f}" width="{_WIDTH}" height="{top:.0f}"'
        f' role="img" aria-label="This server beside others">\n<style>{_STYLE}</style>\n'
        f'<rect width="100%" height="100%" fill="none"/>\n{"".join(parts)}</svg>\n'
    )


def _panel(outcome: Outcome, top: float) -> str:
    figure, unit = _KINDS[outcome.workload.kind]
    values = [result.median(figure) for result in outcome.results]
    longest = max((value for value in values if value), default=1.0)
    title = escape(outcome.workload.title)
    lines = [
        f'<text class="title" x="{_MARGIN}" y="{top + 14:.0f}">{title}</text>\n',
        f'<text class="unit" x="{_MARGIN}" y="{top + 31:.0f}">{escape(unit)}</text>\n',
    ]
    for index, (result, value) in enumerate(zip(outcome.results, values, strict=True)):
        y = top + _TITLE_HEIGHT - 4 + index * (_BAR_HEIGHT + _GAP)
        lines.append(_bar(result, value, longest, y, ours=result.label.startswith("secure-ml-api")))
    return "".join(lines)


def _bar(result: Result, value: float | None, longest: float, y: float, *, ours: bool) -> str:
    space = _WIDTH - _LABEL_WIDTH - _VALUE_WIDTH - _MARGIN
    middle = y + _BAR_HEIGHT - 5
    label = f'<text x="{_LABEL_WIDTH - 8}" y="{middle:.0f}" text-anchor="end">{escape(result.label)}</text>\n'
    if value is None:
        return f'{label}<text class="failed" x="{_LABEL_WIDTH}" y="{middle:.0f}">failed</text>\n'
    width = max(1.0, value / longest * space)
    kind = "ours" if ours else "other"
    return (
        f'{label}<rect class="{kind}" x="{_LABEL_WIDTH}" y="{y:.0f}" width="{width:.1f}" height="{_BAR_HEIGHT}"/>\n'
        f'<text class="value" x="{_LABEL_WIDTH + width + 6:.0f}" y="{middle:.0f}">{written(value)}</text>\n'
    )

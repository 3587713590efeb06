"""The report as one page that needs nothing but itself: no script, no link, nothing from any network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ..figures import Figures, by_group, together
from ..knee import METHOD
from ..record import Point, Record
from ..thresholds import ShapeThreshold, Thresholds
from ..verdict import findings
from .axis import written
from .knee_plot import knee_plot
from .time_plot import time_plot

_STYLE = """
  :root { color-scheme: light dark; }
  body { margin: 0 auto; max-width: 860px; padding: 28px 20px 60px; color: #1f2933; background: #ffffff;
         font: 15px/1.5 system-ui, sans-serif; }
  h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 34px 0 8px; }
  .facts, .note { color: #52606d; font-size: 13px; margin: 0 0 4px; }
  .verdict { margin: 18px 0; padding: 12px 16px; border-left: 4px solid #0b6e4f; background: #eef7f3; }
  .verdict.broken { border-color: #a61b1b; background: #fbeeee; }
  .verdict ul { margin: 6px 0 0; padding-left: 20px; }
  .tiles { display: flex; flex-wrap: wrap; gap: 10px 24px; margin: 18px 0; }
  .tile b { display: block; font-size: 20px; font-weight: 600; } .tile { color: #52606d; font-size: 13px; }
  .tile b { color: #1f2933; } .wide { overflow-x: auto; } svg { max-width: 100%; height: auto; }
  table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
  th, td { text-align: right; padding: 4px 10px; border-bottom: 1px solid #e4e7eb; white-space: nowrap; }
  th { color: #52606d; font-weight: 500; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
  tr.sum td { border-top: 1px solid #9aa5b1; font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    body { color: #e4e7eb; background: #15191e; } .facts, .note, th, .tile { color: #b3bdc7; }
    .tile b { color: #e4e7eb; }
    .verdict { background: #14261f; border-color: #3ebd93; }
    .verdict.broken { background: #2b1a1a; border-color: #f29b9b; }
    th, td { border-color: #2a313a; }
  }
"""
_COLUMNS = ("requests", "answered a second", "failed", "lost", "refused", "p50 ms", "p95 ms", "p99 ms")


def page(record: Record, thresholds: Thresholds, broken: Sequence[str]) -> str:
    """The whole page."""
    bounds = thresholds.shapes.get(record.shape, ShapeThreshold())
    found = [finding.words for finding in findings(record, bounds)]
    facts = "".join(f"<p class=facts>{escape(name)}: {escape(words)}</p>\n" for name, words in record.facts.items())
    sections = [
        f"<h1>Load test: {escape(record.shape)}</h1>\n{facts}",
        _verdict(broken, found),
        _tiles(record),
        *_knee(record),
        *_picture("Over time", time_plot(record)),
        "<h2>Phases</h2>\n" + _phases(record.points()),
        "<h2>Requests</h2>\n<p class=note>Of the whole run, with what the phases leave out.</p>\n" + _requests(record),
        *_errors(record.errors),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Load test: {escape(record.shape)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def _verdict(broken: Sequence[str], found: Sequence[str]) -> str:
    title = "Some thresholds are broken" if broken else "All thresholds hold"
    lines = "".join(f"<li>{escape(line)}</li>\n" for line in (*broken, *found))
    items = f"<ul>\n{lines}</ul>\n" if lines else ""
    return f'<div class="verdict{" broken" if broken else ""}"><b>{title}</b>\n{items}</div>'


def _tiles(record: Record) -> str:
    whole = together("all", record.requests)
    points = record.points()
    best = max((point.per_second for point in points), default=0.0)
    tiles = {
        "requests": f"{whole.requests:,}",
        "answers a second, at most": written(best),
        "p50": f"{written(whole.percentile_ms(0.5))} ms",
        "p95": f"{written(whole.percentile_ms(0.95))} ms",
        "p99": f"{written(whole.percentile_ms(0.99))} ms",
        "failed or lost": f"{whole.failures:,}",
        "refused": f"{whole.refused:,}",
    }
    inner = "\n".join(f"<div class=tile><b>{value}</b>{name}</div>" for name, value in tiles.items())
    return f"<div class=tiles>\n{inner}\n</div>"


def _knee(record: Record) -> Iterable[str]:
    picture = knee_plot(record.points()) if record.shape == "steps" else ""
    if picture:
        yield f"<h2>Where it is best used</h2>\n<div class=wide>{picture}</div>\n<p class=note>{METHOD}</p>"


def _picture(title: str, picture: str) -> Iterable[str]:
    if picture:
        yield f"<h2>{title}</h2>\n<div class=wide>{picture}</div>"


def _phases(points: Sequence[Point]) -> str:
    rows = [
        [point.name, str(point.callers), str(point.seconds), *_cells(point.figures, point.seconds)] for point in points
    ]
    return _table(("phase", "callers", "seconds", *_COLUMNS), rows)


def _requests(record: Record) -> str:
    seconds = max(1.0, record.phases[-1].ended - record.phases[0].began) if record.phases else 1.0
    rows = []
    for group in by_group(record.requests):
        members = [figures for figures in record.requests if figures.group == group.name]
        rows += [[figures.name, *_cells(figures, seconds)] for figures in members]
        if len(members) > 1:
            rows.append([f"{group.name}, together", *_cells(group, seconds)])
    return _table(("request", *_COLUMNS), rows)


def _cells(figures: Figures, seconds: float) -> list[str]:
    counts = (figures.failures - figures.lost, figures.lost, figures.refused)
    times = (figures.percentile_ms(share) for share in (0.50, 0.95, 0.99))
    rate = figures.answered / seconds
    return [f"{figures.requests:,}", f"{rate:,.1f}", *(f"{count:,}" for count in counts), *map(written, times)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join(
        ("<tr class=sum>" if row[0].endswith(", together") else "<tr>")
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f"<div class=wide><table>\n<tr>{head}</tr>\n{body}\n</table></div>"


def _errors(errors: Sequence[str]) -> Iterable[str]:
    if errors:
        lines = "".join(f"<li>{escape(error)}</li>\n" for error in errors)
        yield f"<h2>Not answered</h2>\n<ul class=facts>\n{lines}</ul>"

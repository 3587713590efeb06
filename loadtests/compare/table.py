"""The figures of a workload as lines of cells, for the terminal and for Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence

from .results import CPU_US, P50_MS, P99_MS, PER_SECOND, PSS_MIB, READY_S, Outcome, Verdict

_COLUMNS = {
    "throughput": (PER_SECOND, CPU_US, P50_MS, P99_MS, PSS_MIB),
    "memory": (PSS_MIB,),
    "ready": (READY_S,),
}
_RATIO_TITLES = {"throughput": "ours is", "memory": "of ours", "ready": "of ours"}


def header(outcome: Outcome) -> list[str]:
    """The titles of the columns."""
    names = [f"{name} a request" if name == CPU_US else name for name in _COLUMNS[outcome.workload.kind]]
    return ["server", *names, _RATIO_TITLES[outcome.workload.kind]]


def lines(outcome: Outcome) -> list[list[str]]:
    """A line of cells for each contender; one that failed says why in place of its figures."""
    columns = _COLUMNS[outcome.workload.kind]
    table = []
    for result in outcome.results:
        if result.trouble:
            table.append([result.label, *["–"] * len(columns), f"failed: {_first_words(result.trouble)}"])
            continue
        cells = [written(result.median(name)) for name in columns]
        ratio = outcome.ratio(result)
        table.append([result.label, *cells, "–" if result is outcome.ours or ratio is None else f"{ratio:.3g} ×"])
    return table


def verdict_line(verdict: Verdict) -> str:
    """``met: ≥ 2 × FastAPI (2.4)``"""
    reached = "not measured" if verdict.reached is None else f"{verdict.reached:.3g}"
    return f"{'met' if verdict.met else 'MISSED'}: {verdict.target.words} → {reached}"


def text_table(outcome: Outcome) -> str:
    """The workload for a terminal."""
    table = [header(outcome), *lines(outcome)]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]) - 1)]
    body = ["  ".join([*_justified(line[:-1], widths), line[-1]]).rstrip() for line in table]
    verdicts = [f"  {verdict_line(verdict)}" for verdict in outcome.verdicts()]
    return "\n".join([outcome.workload.title, *body, *verdicts])


def written(value: float | None) -> str:
    """Three digits that count, and no more than the measurement can mean."""
    if value is None:
        return "–"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _justified(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]


def _first_words(trouble: str) -> str:
    return trouble if len(trouble) <= 120 else trouble[:117] + "…"

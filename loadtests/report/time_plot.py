"""The run over time: callers, requests and what became of them, latency, CPU and memory, one above the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..figures import Figures
from ..record import Record
from .axis import Axis, from_zero, over_decades, written
from .knee_plot import SHARES
from .style import svg

_WIDTH, _LEFT, _RIGHT = 860, 64, 800
_PANEL, _HEAD, _FOOT = 96, 44, 34
_MOST_SLOTS = 240
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Slot:
    """Some seconds of the run, together: what came back in them, and the last look at them."""

    start: float
    end: float
    figures: Figures
    callers: float | None
    generator_cores: float | None
    server_cores: float | None
    server_mib: float | None

    def per_second(self, count: int) -> float:
        return count / (self.end - self.start)


def slots(record: Record) -> list[Slot]:
    """The run in at most 240 slots of as many whole seconds each; seconds count from the start of the run."""
    if not record.phases:
        return []
    began, ended = int(record.phases[0].began), int(record.phases[-1].ended)
    width = max(1, -(-(ended - began) // _MOST_SLOTS))
    samples = {sample.second: sample for sample in record.samples}
    made = []
    for first in range(began, ended - width + 1, width):
        seconds = range(first, first + width)
        seen = [samples[second] for second in seconds if second in samples]
        sizes = [sample.server_bytes / _MIB for sample in seen if sample.server_bytes is not None]
        made.append(
            Slot(
                start=first - began,
                end=first - began + width,
                figures=record.timeline.within(seconds).figures(""),
                callers=seen[-1].callers if seen else None,
                generator_cores=_mean([sample.generator_cores for sample in seen]),
                server_cores=_mean([sample.server_cores for sample in seen]),
                server_mib=sizes[-1] if sizes else None,
            )
        )
    return made


def time_plot(record: Record) -> str:
    """The whole picture; "" for a run that was over at once."""
    made = slots(record)
    if len(made) < 2:
        return ""
    x = Axis(0.0, made[-1].end, _LEFT, _RIGHT)
    top, parts = 30.0, []
    for panel in (_callers, _requests, _latency, _cores, _memory):
        if drawn := panel(made, x, top + _HEAD):
            parts.append(drawn)
            top += _HEAD + _PANEL
    bands = _bands(record, x, 30.0, top)
    return svg(_WIDTH, top + _FOOT, "The run over time", bands + "".join(parts) + _seconds(x, top))


def _bands(record: Record, x: Axis, top: float, bottom: float) -> str:
    """Every other phase is shaded, and those that have the room are named."""
    began, parts = int(record.phases[0].began), []
    for index, phase in enumerate(record.phases):
        left, right = x.at(phase.began - began), x.at(phase.ended - began)
        if index % 2 == 0:
            parts.append(
                f'<rect class="band" x="{left:.1f}" y="{top - 18:.0f}" width="{right - left:.1f}"'
                f' height="{bottom - top + 18:.0f}"/>\n'
            )
        name = phase.name if right - left > 7 * len(phase.name) else phase.name.removeprefix("step ")
        if right - left > 7 * len(name):
            middle = (left + right) / 2
            parts.append(f'<text class="unit" x="{middle:.1f}" y="{top - 4:.0f}" text-anchor="middle">{name}</text>\n')
    return "".join(parts)


def _callers(made: Sequence[Slot], x: Axis, top: float) -> str:
    y = from_zero([slot.callers for slot in made if slot.callers is not None], top + _PANEL - 12, top)
    return _frame("Callers", "", y, top) + _line(made, "grey", lambda slot: slot.callers, x, y)


def _requests(made: Sequence[Slot], x: Axis, top: float) -> str:
    y = from_zero([slot.per_second(slot.figures.requests) for slot in made], top + _PANEL - 12, top)
    parts = [_frame("Requests a second", "", y, top)]
    base = [0.0] * len(made)
    across = _LEFT + 150.0
    for css, words, counts in _became(made):
        upper = [low + slot.per_second(count) for low, slot, count in zip(base, made, counts, strict=True)]
        if any(counts):
            edges = list(zip(made, base, upper, strict=True))
            parts.append(_area(edges, css, x, y))
            parts.append(f'<rect class="{css}" x="{across:.0f}" y="{top - 23:.0f}" width="10" height="10"/>\n')
            parts.append(f'<text class="unit" x="{across + 15:.0f}" y="{top - 14:.0f}">{words}</text>\n')
            across += 30 + 7 * len(words)
        base = upper
    return "".join(parts)


def _became(made: Sequence[Slot]) -> list[tuple[str, str, list[int]]]:
    """What became of the requests of each slot: how it is drawn, what it is called, and how many."""
    return [
        ("ours", "answered", [slot.figures.answered for slot in made]),
        ("refused", "refused", [slot.figures.refused for slot in made]),
        ("failed", "failed or lost", [slot.figures.failures for slot in made]),
    ]


def _latency(made: Sequence[Slot], x: Axis, top: float) -> str:
    values = [slot.figures.percentile_ms(share) for slot in made for share in SHARES.values()]
    y = over_decades(values, top + _PANEL - 12, top)
    lines = [
        _line(made, name, lambda slot, at=share: slot.figures.percentile_ms(at) or None, x, y)  # type: ignore[misc]
        for name, share in reversed(SHARES.items())
    ]
    return _frame("Latency of answers, ms", _legend({name: name for name in SHARES}, top), y, top) + "".join(lines)


def _cores(made: Sequence[Slot], x: Axis, top: float) -> str:
    seen = [value for slot in made for value in (slot.server_cores, slot.generator_cores) if value is not None]
    y = from_zero([*seen, 1.0], top + _PANEL - 12, top)
    server = _line(made, "p50", lambda slot: slot.server_cores, x, y)
    named = {"p50": "server", "grey": "load generator (its busiest process)"} if server else {"grey": "load generator"}
    own = _line(made, "grey", lambda slot: slot.generator_cores, x, y)
    return _frame("Cores", _legend(named, top), y, top) + server + own


def _memory(made: Sequence[Slot], x: Axis, top: float) -> str:
    seen = [slot.server_mib for slot in made if slot.server_mib is not None]
    if not seen:
        return ""
    y = from_zero(seen, top + _PANEL - 12, top)
    line = _line(made, "p50", lambda slot: slot.server_mib, x, y)
    return _frame("Memory of the server, MiB", "", y, top) + line


def _frame(title: str, legend: str, y: Axis, top: float) -> str:
    parts = [f'<text class="title" x="20" y="{top - 14:.0f}">{title}</text>\n', legend]
    ticks = y.ticks()
    for tick in ticks if len(ticks) <= 4 else ticks[:: -(-len(ticks) // 4)]:
        at = y.at(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>\n')
        parts.append(f'<text class="unit" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{written(tick)}</text>\n')
    return "".join(parts)


def _legend(named: dict[str, str], top: float) -> str:
    parts, across = [], _LEFT + 190.0
    for css, words in named.items():
        ends = f'x1="{across:.0f}" x2="{across + 18:.0f}" y1="{top - 18:.0f}" y2="{top - 18:.0f}"'
        parts.append(f'<line class="line {css}" {ends}/>\n')
        parts.append(f'<text class="unit" x="{across + 24:.0f}" y="{top - 14:.0f}">{words}</text>\n')
        across += 44 + 7 * len(words)
    return "".join(parts)


def _line(made: Sequence[Slot], css: str, value: Callable[[Slot], float | None], x: Axis, y: Axis) -> str:
    """A line through the middles of slots, broken where there is no value; "" where there is none at all."""
    strokes: list[list[str]] = [[]]
    for slot in made:
        seen = value(slot)
        if seen is None:
            strokes.append([])
        else:
            strokes[-1].append(f"{x.at((slot.start + slot.end) / 2):.1f},{y.at(seen):.1f}")
    return "".join(f'<polyline class="line {css}" points="{" ".join(stroke)}"/>\n' for stroke in strokes if stroke)


def _area(edges: Sequence[tuple[Slot, float, float]], css: str, x: Axis, y: Axis) -> str:
    """What lies between the lower and the upper value of each slot."""
    there, back = [], []
    for slot, low, high in edges:
        left, right = x.at(slot.start), x.at(slot.end)
        there += [f"{left:.1f},{y.at(high):.1f}", f"{right:.1f},{y.at(high):.1f}"]
        back += [f"{left:.1f},{y.at(low):.1f}", f"{right:.1f},{y.at(low):.1f}"]
    return f'<polygon class="{css}" points="{" ".join([*there, *reversed(back)])}"/>\n'


def _seconds(x: Axis, top: float) -> str:
    parts = [f'<text class="unit" x="{_RIGHT}" y="{top + 28:.0f}" text-anchor="end">seconds</text>\n']
    for tick in Axis(0.0, x.high, 0, 1).ticks():
        at = x.at(tick)
        parts.append(
            f'<text class="unit" x="{at:.1f}" y="{top + 12:.0f}" text-anchor="middle">{written(tick)}</text>\n'
        )
    return "".join(parts)


def _mean(values: Sequence[float | None]) -> float | None:
    seen = [value for value in values if value is not None]
    return sum(seen) / len(seen) if seen else None

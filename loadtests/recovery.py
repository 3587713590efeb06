"""What a run shows over its whole length: how soon a spike was over, and how much memory a soak has cost."""

from __future__ import annotations

from collections.abc import Sequence

from .record import Phase, Sample
from .timeline import Tally, Timeline

# One window of the sliding look: a single second may hold too few answers for a percentile.
_WINDOW_SECONDS = 3
# As before means: a p95 of at most twice that of before, and this much for jitter where both are small.
_FACTOR, _JITTER_MS = 2.0, 20.0


def recovery_seconds(timeline: Timeline, before: Phase, after: Phase) -> int | None:
    """How long after the last caller of the spike had left all was as before, and stayed so; None when it never was.

    As before means that nothing failed or was refused, and the p95 was within bounds, in every later window of three
    seconds.
    """
    bound_ms = timeline.within(before.seconds()).figures("").percentile_ms(0.95) * _FACTOR + _JITTER_MS
    first, last = int(after.began + after.settle_seconds) + 1, int(after.ended)
    windows = range(first, last - _WINDOW_SECONDS + 1)
    troubled = [
        start for start in windows if not _calm(timeline.within(range(start, start + _WINDOW_SECONDS)), bound_ms)
    ]
    recovered = troubled[-1] + 1 if troubled else first
    return recovered - first if recovered in windows else None


def _calm(window: Tally, bound_ms: float) -> bool:
    figures = window.figures("")
    return bool(figures.answered == figures.requests > 0 and figures.percentile_ms(0.95) <= bound_ms)


def memory_growth_bytes(samples: Sequence[Sample]) -> int | None:
    """How much more memory the server kept in the last quarter of a run than in its second one.

    What it keeps is what it is seldom seen below, a tenth of the time: proving a secret takes 46 MiB for a moment, and
    when that is asked is chance. The first quarter does not count: threads and buffers are made when they
    are first needed. None when the memory was not seen often enough to tell.
    """
    seen = [sample.server_bytes for sample in samples if sample.server_bytes is not None]
    quarter = len(seen) // 4
    if quarter < 2:
        return None
    return _kept(seen[-quarter:]) - _kept(seen[quarter : 2 * quarter])


def _kept(seen: Sequence[int]) -> int:
    return sorted(seen)[len(seen) // 10]

"""How soon a spike is over, and what a soak costs."""

from __future__ import annotations

from loadtests.record import Phase, Sample
from loadtests.recovery import memory_growth_bytes, recovery_seconds
from loadtests.timeline import Outcome, Timeline

BEFORE = Phase("before", 4, began=100.0, ended=110.0)
AFTER = Phase("after", 4, began=115.0, ended=130.0)


def timeline(*troubled: int, time_ms: float = 500, became: Outcome = Outcome.ANSWERED) -> Timeline:
    """Ten answers of 20 ms each second, but for ``troubled`` ones."""
    made = Timeline()
    for second in range(100, 130):
        for _ in range(10):
            if second in troubled:
                made.count(second, became, time_ms)
            else:
                made.count(second, Outcome.ANSWERED, 20)
    return made


def test_a_server_that_is_as_before_at_once_recovers_in_no_time() -> None:
    assert recovery_seconds(timeline(), BEFORE, AFTER) == 0


def test_recovery_is_counted_until_the_last_slow_second() -> None:
    assert recovery_seconds(timeline(116, 117, 119), BEFORE, AFTER) == 4  # from 120 on all is well


def test_refusals_after_the_spike_put_recovery_off() -> None:
    assert recovery_seconds(timeline(118, became=Outcome.REFUSED), BEFORE, AFTER) == 3


def test_a_server_that_is_slow_to_the_end_has_not_recovered() -> None:
    assert recovery_seconds(timeline(129), BEFORE, AFTER) is None


def test_a_little_jitter_of_quick_answers_is_no_trouble() -> None:
    assert recovery_seconds(timeline(120, time_ms=59), BEFORE, AFTER) == 0


def samples(*sizes: int | None) -> list[Sample]:
    return [Sample(second, 4, server_bytes=size) for second, size in enumerate(sizes)]


def test_memory_grows_from_the_second_quarter_to_the_last() -> None:
    assert memory_growth_bytes(samples(10, 50, 100, 100, 110, 120, 130, 130)) == 30


def test_what_is_taken_at_the_start_and_kept_is_no_growth() -> None:
    assert memory_growth_bytes(samples(10, 90, 100, 100, 100, 100, 100, 100)) == 0


def test_what_is_taken_for_a_moment_and_given_back_is_no_growth() -> None:
    rarely, often = [100] * 9 + [150], [100] * 2 + [150] * 8
    assert memory_growth_bytes(samples(*rarely, *rarely, *often, *often)) == 0
    assert memory_growth_bytes(samples(*rarely, *rarely, *often, *(size + 30 for size in often))) == 30


def test_without_enough_looks_at_the_memory_nothing_is_said() -> None:
    assert memory_growth_bytes(samples(None, None, None, None, None, None, None, None)) is None
    assert memory_growth_bytes(samples(1, 2, 3)) is None

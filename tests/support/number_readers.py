"""Every way in which numbers are read; which of them serves depends on the size of a text and on the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from secure_ml_api.wire import number_text

_SIMDJSON = number_text.simdjson
# simdjson, where it is installed: for large texts, as served, and for small ones too; and orjson alone.
_WAYS = ((_SIMDJSON, number_text._SMALL_BYTES), (_SIMDJSON, 0), (None, 0)) if _SIMDJSON else ((None, 0),)


def by_every_reader(read: Callable[[], object]) -> object:
    """What ``read`` gives, which must be the same whatever reads the numbers in it."""
    answers = []
    for simdjson, small_bytes in _WAYS:
        with _reading_by(simdjson, small_bytes):
            answers.append(read())
    assert answers == answers[:1] * len(answers), "the readers of numbers do not agree"
    return answers[0]


@contextmanager
def _reading_by(simdjson: object, small_bytes: int) -> Iterator[None]:
    before = number_text.simdjson, number_text._SMALL_BYTES
    number_text.simdjson, number_text._SMALL_BYTES = simdjson, small_bytes
    try:
        yield
    finally:
        number_text.simdjson, number_text._SMALL_BYTES = before

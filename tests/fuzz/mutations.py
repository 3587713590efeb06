"""Changes to an input that leave it almost what it was: bytes changed at random seldom are a number, or a list."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from support.json_bodies import BAD_NUMBERS, GOOD_NUMBERS

_NUMBER = re.compile(rb"-?[0-9][0-9.eE+-]*")
_TEXTS = tuple(number.encode() for number in (*GOOD_NUMBERS, *BAD_NUMBERS) if len(number) < 100)


def another_number(data: bytes, random: Random) -> bytes:
    """One number is another one: well known for its trouble, or with a digit changed, or negative."""
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    place = random.choice(found)
    number = place[0]
    new = random.choice((random.choice(_TEXTS), number + b"%d" % random.randrange(1000), b"-" + number, b"0." + number))
    return data[: place.start()] + new + data[place.end() :]


def another_order(data: bytes, random: Random) -> bytes:
    """One piece between two commas is left out, comes twice, or stands where another one did."""
    pieces = data[1:].split(b",")
    at, to = random.randrange(len(pieces)), random.randrange(len(pieces))
    changed = random.choice(
        (
            pieces[:at] + pieces[at + 1 :],
            [*pieces[:at], pieces[at], *pieces[at:]],
            [*pieces[:at], pieces[to], *pieces[at + 1 :]],
        )
    )
    return data[:1] + b",".join(changed)


def another_model(data: bytes, random: Random) -> bytes:
    """The same body for another signature, which the first byte chooses."""
    return random.randbytes(1) + data[1:]


_CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (another_number, another_number, another_order, another_model)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """An input like ``data``: every other time changed as above, else as libFuzzer changes bytes."""
    import atheris

    random = Random(seed)
    if not data or random.random() < 0.5:
        changed: bytes = atheris.Mutate(data, max_size)
        return changed
    return random.choice(_CHANGES)(data, random)[:max_size]

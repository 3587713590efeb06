"""Rows made from a sample, so that parity is shown beyond the rows that happen to be in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from .prose import made_up_texts
from .table import Array, Table

GENERATED_ROWS = 1000
_SEED = 20240229
# A column with so few different values, all of them whole, may hold codes: another value may be none.
_MOST_CODES = 32


def generate_rows(
    sample: Table,
    *,
    choices: Mapping[str, Sequence[str]],
    missing: Sequence[str],
    open_text: Sequence[str],
    prose: Collection[str] = (),
) -> Table:
    """GENERATED_ROWS rows within the sample's range: half are sample rows that were moved a little, half drawn anew.

    ``choices`` are the texts that a column may hold, ``missing`` the columns of numbers that may be empty, and
    ``open_text`` the columns of text where a word that was never seen is allowed. Those in ``prose`` are read word by
    word, so their texts are made anew.
    """
    random = np.random.default_rng(_SEED)
    origin = random.integers(0, sample.rows, GENERATED_ROWS)
    moved = np.arange(GENERATED_ROWS) < GENERATED_ROWS // 2
    columns = {}
    for name, values in sample.columns.items():
        if name in prose and sample.is_text(name):
            columns[name] = made_up_texts(random, values, GENERATED_ROWS)
        elif sample.is_text(name):
            columns[name] = _words(random, list(choices.get(name, sorted(set(values)))), name in open_text)
        else:
            columns[name] = _numbers(random, values, origin, moved)
            if name in missing:
                columns[name][random.random(GENERATED_ROWS) < 0.05] = np.nan
    return Table(columns, sample.row_shape, sample.datatype)


def _numbers(random: np.random.Generator, values: Array, origin: Array, moved: Array) -> Array:
    present = values[~np.isnan(values)]
    if present.size == 0:
        return np.full(GENERATED_ROWS, np.nan)
    distinct = np.unique(present)
    are_whole = bool(np.all(distinct == np.floor(distinct)))
    if are_whole and distinct.size <= _MOST_CODES:
        return random.choice(distinct, GENERATED_ROWS)
    low, high = float(distinct[0]), float(distinct[-1])
    near = np.clip(values[origin] + random.normal(0, 0.05 * np.std(present), GENERATED_ROWS), low, high)
    filled = np.where(np.isnan(near), np.median(present), near)
    drawn = np.where(moved, filled, random.uniform(low, high, GENERATED_ROWS))
    # Whole numbers are what callers will send, and they meet thresholds that lie half way between two of them.
    return np.round(drawn) if are_whole else drawn


def _words(random: np.random.Generator, words: list[str], is_open: bool) -> Array:
    drawn = np.empty(GENERATED_ROWS, dtype=np.object_)
    drawn[:] = [words[index] for index in random.integers(0, len(words), GENERATED_ROWS)]
    if is_open:
        drawn[random.random(GENERATED_ROWS) < 0.05] = "a word that was never seen"
    return drawn

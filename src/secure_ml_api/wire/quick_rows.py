"""Rows of nothing but numbers, read without a Python object for each number.

Answers only what it wholly understands and finds good, with None for everything else: the verdict on a doubtful body
and the words of a refusal always come from ``row_reader``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import ceil, floor
from operator import gt, le
from typing import Any, NamedTuple, TypeVar

import numpy as np
import orjson

from ..errors import Refusal
from ..tensors import NUMPY_DTYPES, Signature, Tensors
from .envelopes import RowsRequest, TensorFlowRequest, read_envelope
from .excerpt import excerpt, mark
from .json_text import read_json
from .number_text import Array, reach, read_numbers

_GAP = rb"[ \t\r\n]*+"
_ONE_ROW = re.compile(_GAP.join([b"", rb"\{", b'"features"', b":", rb"(\[[-+0-9.eE, \t\r\n]++\])", rb"\}", b""]))
_MOST_ENVELOPE_BYTES = 512
_ENVELOPES = 256
R = TypeVar("R", RowsRequest, TensorFlowRequest)


class _Reach(NamedTuple):
    """The least and the greatest number that each column takes, as Python numbers and as arrays [columns]."""

    dtype: np.dtype[Any]
    is_floating: bool
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    low_array: Array
    high_array: Array
    is_same: bool
    """Whether all columns take the same numbers."""


def quick_row(body: bytes, signature: Signature) -> Array | None:
    """[1, columns] of ``{"features": [5.1, …]}`` and nothing else; None when ``row_reader`` must judge.

    On Python numbers, because NumPy costs more than it saves on a few of them.
    """
    within = _reach(signature)
    plain = _ONE_ROW.fullmatch(body)
    if within is None or plain is None or not within.is_floating:
        return None
    if plain[1].count(b",") >= len(within.lows):
        return None
    try:
        row = orjson.loads(plain[1])
    except ValueError:
        return None
    return fitted_row(row, signature)


def fitted_row(row: Sequence[float], signature: Signature) -> Array | None:
    """``row``, of numbers, as [1, columns] in the model's datatype; None for one that a column does not take."""
    within = _reach(signature)
    if within is None or len(row) != len(within.lows):
        return None
    if not (all(map(le, within.lows, row)) and all(map(le, row, within.highs))):
        return None
    return np.array((row,), dtype=within.dtype)


def quick_rows(body: bytes, signature: Signature, max_rows: int) -> tuple[RowsRequest, Tensors, int] | None:
    """The request without its rows, the tensors of the rows and their number; None when ``row_reader`` must judge."""
    quick = quick_instances(body, RowsRequest, signature) if _reach(signature) is not None else None
    if quick is None:
        return None
    request, numbers = quick
    if request.features is not None or len(numbers) > max_rows:
        return None
    matrix = fitted(numbers, signature)
    return None if matrix is None else (request, {"input": matrix}, len(matrix))


def fitted(numbers: Array, signature: Signature) -> Array | None:
    """``numbers`` [rows, columns] in the model's datatype; None for one that a column does not take."""
    within = _reach(signature)
    if within is None or numbers.shape[1:] != within.low_array.shape:
        return None
    if within.is_same and numbers.size:  # ten times quicker than column by column
        if numbers.min() < within.lows[0] or numbers.max() > within.highs[0]:
            return None
    elif (numbers.min(axis=0) < within.low_array).any() or (numbers.max(axis=0) > within.high_array).any():
        return None
    return numbers.astype(within.dtype, copy=False)


def quick_instances(body: bytes, form: type[R], signature: Signature) -> tuple[R, Array] | None:
    """A request whose ``instances`` are numbers: what is around them, as ``form``, and what ``read_numbers`` gives."""
    cut = excerpt(body, b'"instances"')
    if cut is None or len(cut.arrays) != 1 or len(cut.envelope) > _MOST_ENVELOPE_BYTES:
        return None
    request = _around(cut.envelope, form)
    numbers = read_numbers(cut.arrays[0], signature.columns[0].datatype, len(signature.columns)) if request else None
    return None if request is None or numbers is None else (request, numbers)


@lru_cache(maxsize=_ENVELOPES)
def _around(envelope: bytes, form: type[R]) -> R | None:
    """The envelope, its list of rows left empty; kept, because all of a client's requests have the same one."""
    try:
        value = read_json(envelope)
        if not isinstance(value, dict) or value.get("instances") != mark(0):
            return None
        return read_envelope(form, {**value, "instances": []})
    except Refusal:
        return None


@lru_cache(maxsize=512)
def _reach(signature: Signature) -> _Reach | None:
    """None for models that do not take one matrix of numbers, and where a column takes none at all."""
    datatype = signature.columns[0].datatype
    if not signature.is_matrix or datatype == "BOOL":
        return None
    low, high = reach(datatype)
    floating = datatype[0] == "F"
    up, down = (float, float) if floating else (ceil, floor)  # whole numbers are compared with whole numbers: exactly
    columns = signature.columns
    lows = tuple(low if column.minimum is None else max(low, up(column.minimum)) for column in columns)
    highs = tuple(high if column.maximum is None else min(high, down(column.maximum)) for column in columns)
    if any(map(gt, lows, highs)):
        return None
    wide = np.float64 if floating else np.uint64 if datatype == "UINT64" else np.int64
    arrays = np.array(lows, dtype=wide), np.array(highs, dtype=wide)
    is_same = len({*lows}) == len({*highs}) == 1
    return _Reach(NUMPY_DTYPES[datatype], floating, lows, highs, *arrays, is_same)

"""JSON arrays of nothing but numbers → NumPy, with the shape proved from the text.

What is answered here is right to the last bit; whatever is not wholly understood is answered with None, so that the
general reader gives its verdict and its words. Nothing here ever refuses a request.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from ..tensors import NUMPY_DTYPES, Datatype


def _installed_simdjson() -> Any:
    """There are no wheels for every Python yet; without it orjson gives the same arrays in twice the time."""
    try:
        import simdjson
    except ImportError:
        return None
    return simdjson


simdjson = _installed_simdjson()
Array = np.ndarray[Any, np.dtype[Any]]

# What integers and what all numbers are written with, and JSON's whitespace.
_INTEGER_BYTES = b"-0123456789 \t\r\n"
_NUMBER_BYTES = b"+.eE" + _INTEGER_BYTES
_NESTED = re.compile(rb"\[[ \t\r\n]*\[")
# Below this a parser written for large texts takes longer to set up than orjson takes to read the text.
_SMALL_BYTES = 1024
# simdjson holds some 13 bytes for each byte of text while it parses, and keeps them for the next text.
_LARGE_BYTES = 4 * 2**20
_KEPT_BYTES = 2**20
_MOST_PARSERS = 4
_BRACKET = ord("[")

# Parsers that nobody uses just now: as many as threads were ever parsing at once. A new one costs as much as parsing.
_parsers: list[Any] = []


def read_numbers(text: bytes, datatype: Datatype, width: int) -> Array | None:
    """The numbers of one JSON array as float64, int64 or uint64: [elements] when flat, [rows, width] when nested.

    Integer datatypes take integers alone. None when ``text`` is anything else: other elements, other nesting, rows of
    another width, no numbers at all, numbers past 64 bits.
    """
    by_simdjson = simdjson is not None and _SMALL_BYTES < len(text) <= _LARGE_BYTES
    try:
        return (_by_simdjson if by_simdjson else _by_orjson)(text, datatype, width)
    except (ValueError, TypeError, AttributeError, OverflowError, RuntimeError):
        return None


def fits(numbers: Array, datatype: Datatype) -> bool:
    """Whether every one of ``numbers``, as ``read_numbers`` gives them, has a finite value in ``datatype``."""
    low, high = reach(datatype)
    return bool(numbers.min() >= low and numbers.max() <= high)


@lru_cache(maxsize=len(NUMPY_DTYPES))
def reach(datatype: Datatype) -> tuple[float, float]:
    """The least and the greatest float64 that round to a finite ``datatype``, or the span of an integer type."""
    dtype = NUMPY_DTYPES[datatype]
    if dtype.kind in "iu":
        span = np.iinfo(dtype)
        return int(span.min), int(span.max)
    greatest = np.finfo(dtype).max
    if dtype == np.float64:
        return -float(greatest), float(greatest)
    # Half way to what would be the next number, values round to infinity (IEEE 754 section 4.3.1).
    half_way = float(greatest) + (float(greatest) - float(np.nextafter(greatest, dtype.type(0)))) / 2
    limit = float(np.nextafter(half_way, 0.0))
    return -limit, limit


def _by_simdjson(text: bytes, datatype: Datatype, width: int) -> Array | None:
    """Its buffers are flat and hold numbers alone; the shape follows from the parsed lists and the brackets."""
    kind, dtype = (
        ("d", np.float64) if datatype[0] == "F" else ("u", np.uint64) if datatype == "UINT64" else ("i", np.int64)
    )
    parser = _parsers.pop() if _parsers else simdjson.Parser()
    parsed: Any = parser.parse(text)
    nested = _NESTED.match(text) is not None
    rows = len(parsed)
    numbers = np.frombuffer(parsed.as_buffer(of_type=kind), dtype=dtype)
    is_even = not nested or set(map(len, parsed)) == {width}
    del parsed  # a parser reads the next text only when nothing refers to this one
    if len(text) <= _KEPT_BYTES and len(_parsers) < _MOST_PARSERS:
        _parsers.append(parser)
    # With one bracket for each row and one around them, no row holds another list.
    brackets = np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == _BRACKET)
    if not is_even or brackets != (rows + 1 if nested else 1) or numbers.size != rows * (width if nested else 1):
        return None
    return numbers.reshape(rows, width) if nested else numbers if rows else None


def _by_orjson(text: bytes, datatype: Datatype, width: int) -> Array | None:
    """Without the bytes that numbers are made of, the text must be brackets and commas, just so many."""
    floating = datatype[0] == "F"
    skeleton = text.translate(None, _NUMBER_BYTES if floating else _INTEGER_BYTES)
    nested = _NESTED.match(text) is not None
    rows = skeleton.count(b"[") - 1 if nested else skeleton.count(b",") + 1
    row = b"[" + b"," * (width - 1) + b"]" if nested else b""
    if skeleton != b"[" + b",".join([row] * rows) + b"]":
        return None
    numbers = np.array(orjson.loads(text), dtype=np.float64 if floating else None)
    # One number between two commas is what JSON demands; only "[]" and a row "[]" of width one can hold fewer.
    if numbers.shape != ((rows, width) if nested else (rows,)):
        return None
    if floating or numbers.dtype == (np.uint64 if datatype == "UINT64" else np.int64):
        return numbers
    # Integers of more than 64 bits came as floats; small ones, for a UINT64 tensor, as int64.
    return numbers.astype(np.uint64) if numbers.dtype == np.int64 and numbers.min() >= 0 else None

"""Rows of numbers under the features' names, read without a validator for each; as in ``quick_rows``, or not at all."""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np
import orjson

from ..errors import Refusal
from ..tensors import Signature, Tensors
from .envelopes import RowsRequest, read_envelope
from .quick_rows import fitted, fitted_row

_WORDS = (b"true", b"false", b"null")


def quick_named(body: bytes, signature: Signature, max_rows: int) -> tuple[RowsRequest, Tensors, int] | None:
    """The request without its rows, the tensors of the rows and their number; None when ``row_reader`` must judge."""
    pick = _picker(signature)
    # Without escapes a key is written in one way, and without words a value is a number, a list or an object.
    if pick is None or b"\\" in body or any(word in body for word in _WORDS):
        return None
    try:
        value = orjson.loads(body)
        if not isinstance(value, dict):
            return None
        single = "features" in value
        rows = [value.pop("features")] if single else value.pop("instances")
        request = read_envelope(RowsRequest, {**value, "features" if single else "instances": []})
        width = len(signature.columns)
        if not 0 < len(rows) <= max_rows or set(map(type, rows)) != {dict} or set(map(len, rows)) != {width}:
            return None
        # The parser keeps the last of two equal keys; had there been two, there would be more quotes than keys.
        keys = 1 + len(value) + len(request.outputs) + len(rows) * width
        if (single and value) or body.count(b'"') != 2 * keys:
            return None
        cells = list(map(pick, rows))
        matrix = fitted_row(cells[0], signature) if single else _matrix(cells, signature)
    except (Refusal, ValueError, KeyError, TypeError, OverflowError):
        return None
    return None if matrix is None else (request, {"input": matrix}, len(rows))


def _matrix(cells: list[tuple[Any, ...]], signature: Signature) -> np.ndarray[Any, Any] | None:
    return fitted(np.array(cells, dtype=np.float64), signature)


@lru_cache(maxsize=512)
def _picker(signature: Signature) -> itemgetter[Any] | None:
    """Takes a row's values in the model's order; None for models that do not take a matrix of FP numbers."""
    if not signature.is_matrix or not signature.columns[0].datatype.startswith("FP") or len(signature.columns) == 1:
        return None
    return itemgetter(*signature.column_names)

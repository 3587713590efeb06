"""Answers as JSON, written straight from arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from .question import Answer


def json_answer(payload: dict[str, Any], status: int = 200) -> Answer:
    """``payload``, whose values may be contiguous NumPy arrays, as one JSON answer."""
    return Answer(orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY), status=status)


def plain(array: np.ndarray[Any, Any]) -> Any:
    """``array``, iterable as values that JSON shows with the digits of their own precision: 0.1 in FP32 is 0.1.

    orjson knows NumPy's float32 and float64 scalars, but not those of every integer type that frameworks return.
    """
    return array if array.dtype.kind == "f" else array.tolist()


def scalar(array: np.ndarray[Any, Any]) -> Any:
    """The first element, as ``plain`` gives it."""
    return plain(array[:1])[0]

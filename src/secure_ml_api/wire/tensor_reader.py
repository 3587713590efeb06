"""Tensors as JSON writes them, nested or flat → arrays of the datatype and shape that they claim."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ..errors import Misfit, SignatureMismatch
from ..tensors import NUMPY_DTYPES, Datatype

Array = np.ndarray[Any, np.dtype[Any]]

_MAX_MISFITS = 100


def read_tensor(name: str, datatype: Datatype, shape: list[int], data: list[Any], nullable: bool = False) -> Array:
    """``data`` as an array of ``shape``; raises SignatureMismatch with the place of each element that does not fit.

    ``nullable`` lets null stand for NaN in floating-point tensors.
    """
    if datatype == "FP16":
        raise SignatureMismatch("FP16 has no JSON form; send FP32", [Misfit("FP16 has no JSON form", feature=name)])
    if not prod(shape):
        raise SignatureMismatch("the request has no rows", [Misfit("the shape has no elements", feature=name)])
    flat = data if len(shape) == 1 or not _is_nested(data) else _flatten(name, data, shape)
    if len(flat) != prod(shape):
        detail = f"the shape says {prod(shape)} elements, the data has {len(flat)}"
        raise SignatureMismatch("a tensor's data does not fill its shape", [Misfit(detail, feature=name)])
    width = prod(shape[1:])
    try:
        values = _elements(datatype, nullable and datatype in {"FP32", "FP64"}).validate_python(flat)
    except ValidationError as error:
        misfits = [
            Misfit(f"expected {datatype} elements", row=int(detail["loc"][0]) // max(width, 1), feature=name)
            for detail in error.errors(include_url=False, include_input=False)[:_MAX_MISFITS]
        ]
        raise SignatureMismatch("some elements do not have the tensor's datatype", misfits) from None
    return _array(name, datatype, values).reshape(shape)


def _is_nested(data: list[Any]) -> bool:
    return bool(data) and isinstance(data[0], list)


def _flatten(name: str, data: list[Any], shape: list[int]) -> list[Any]:
    """Nested lists unrolled in row-major order, each level held against the shape."""
    level = data
    for depth, size in enumerate(shape[1:], start=1):
        for index, part in enumerate(level):
            if not isinstance(part, list) or len(part) != size:
                row = index // max(prod(shape[1:depth]), 1)
                detail = f"axis {depth} has {size} elements by the shape, not by the data"
                raise SignatureMismatch("a tensor's data is ragged", [Misfit(detail, row=row, feature=name)])
        level = [element for part in level for element in part]
    return level


def _array(name: str, datatype: Datatype, values: list[Any]) -> Array:
    if datatype == "BYTES":
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    with np.errstate(over="ignore"):
        array = np.array(values, dtype=np.float64 if datatype == "FP32" else NUMPY_DTYPES[datatype])
        array = array.astype(NUMPY_DTYPES[datatype], copy=False)
    if datatype == "FP32" and np.isinf(array).any():
        raise SignatureMismatch("some numbers are too large", [Misfit("a number is too large for FP32", feature=name)])
    return array


@cache
def _elements(datatype: Datatype, nullable: bool) -> TypeAdapter[list[Any]]:
    """The validator of a flat list; it stops at the first element that does not fit, to bound its work."""
    kind: Any
    if datatype == "BYTES":
        kind = str
    elif datatype == "BOOL":
        kind = bool
    elif datatype.startswith("FP"):
        kind = float | None if nullable else float
    else:
        span = np.iinfo(NUMPY_DTYPES[datatype])
        kind = Annotated[int, Field(ge=int(span.min), le=int(span.max))]
    items = Annotated[list[kind], Field(fail_fast=True)]
    return TypeAdapter(items, config=ConfigDict(strict=True, allow_inf_nan=False))

"""Rows as callers write them → the tensors that a signature asks for, with every misfit named by row and feature.

The validators are pydantic types made from the signature; the OpenAPI document shows the schemas of the same types.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, floor
from operator import itemgetter
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, Strict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from ..errors import Misfit, SignatureMismatch
from ..tensors import NUMPY_DTYPES, Column, Signature, Tensors
from .number_text import reach
from .tensor_inputs import TRUTH_AS_NUMBER, shortened

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_MAX_MISFITS = 100
_MAX_WORDS = 300
# Rows are validated block by block, so that a large body of nothing but errors stops being read early: pydantic writes
# an error for each cell that it does not like.
_BLOCK_CELLS = 8192


def feature_type(column: Column) -> Any:
    """The pydantic type of one feature."""
    if column.choices is not None:
        return Literal[column.choices]
    if column.is_text:
        return str if column.max_length is None else Annotated[str, Field(max_length=column.max_length)]
    if column.datatype.startswith(("INT", "UINT")):
        span = np.iinfo(NUMPY_DTYPES[column.datatype])
        # An integer is held against integers: pydantic takes no other bounds for it.
        least = None if column.minimum is None else ceil(column.minimum)
        greatest = None if column.maximum is None else floor(column.maximum)
        return Annotated[int, Field(ge=int(span.min), le=int(span.max)), Field(ge=least, le=greatest)]
    limits = Field(ge=column.minimum, le=column.maximum, json_schema_extra=_span(column))
    if column.datatype == "BOOL":
        return bool
    return Annotated[float, limits] | None if column.allow_missing else Annotated[float, limits]


def _nested_type(signature: Signature, types: Sequence[Any]) -> Any:
    """The pydantic type of one row nested in its shape, for its schema; bounds of one column alone are left out."""
    is_even = len(set(map(repr, types))) == 1
    kind = types[0] if is_even else feature_type(Column(name="element", datatype=signature.columns[0].datatype))
    for size in reversed(signature.row_shape):
        kind = Annotated[list[kind], Field(min_length=size, max_length=size)]  # type: ignore[valid-type]
    return kind


def _span(column: Column) -> dict[str, Any]:
    """What a schema says of a datatype narrower than JSON's numbers; the reader itself rounds them and sees."""
    if column.datatype not in {"FP16", "FP32"}:
        return {}
    low, high = reach(column.datatype)
    return {
        "minimum": low if column.minimum is None else max(low, column.minimum),
        "maximum": high if column.maximum is None else min(high, column.maximum),
    }


class RowReader:
    """The validators of one signature; get it from ``row_reader``."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        types = [feature_type(column) for column in signature.columns]
        # Their length is checked before pydantic sees them (_strangers); the schema says it for the OpenAPI document.
        size = len(types)
        if signature.is_matrix and len(set(map(repr, types))) == 1:
            row: Any = Annotated[list[types[0]], Field(min_length=size, max_length=size)]  # type: ignore[valid-type]
        else:
            row = Annotated[tuple[tuple(types)], Strict(False)]  # type: ignore[misc]
        self._lists: TypeAdapter[list[Sequence[Any]]] = TypeAdapter(list[row], config=_STRICT)
        record = TypedDict("Record", dict(zip(signature.column_names, types, strict=True)))  # type: ignore[misc]
        record.__pydantic_config__ = _STRICT  # type: ignore[attr-defined]
        self.list_row: Any = row | _nested_type(signature, types) if signature.row_shape else row
        self.named_row: Any = record
        self._records: TypeAdapter[Any] = TypeAdapter(list[record])

    def read(self, rows: list[Any]) -> Tensors:
        """The tensors of ``rows``, all of them lists or all of them mappings; raises SignatureMismatch."""
        if not rows:
            raise SignatureMismatch("the request has no rows")
        kind: type = dict if isinstance(rows[0], dict) else list
        values: list[Sequence[Any]] = []
        misfits: list[Misfit] = []
        size, shape = max(1, _BLOCK_CELLS // len(self.signature.columns)), self.signature.row_shape
        for start in range(0, len(rows), size):
            block = [self._flat(row) for row in rows[start : start + size]] if shape else rows[start : start + size]
            strangers = self._strangers(block, kind)
            misfits.extend(Misfit(detail, row=start + index) for index, detail in strangers.items())
            known = [index for index in range(len(block)) if index not in strangers] if strangers else range(len(block))
            try:
                values.extend(self._values([block[i] for i in known] if strangers else block, kind))
            except ValidationError as error:
                details = error.errors(include_url=False)
                misfits.extend(self._misfit(detail, start + known[int(detail["loc"][0])]) for detail in details)
            if len(misfits) >= _MAX_MISFITS:
                break
        if misfits:
            misfits.sort(key=lambda misfit: misfit.row or 0)
            raise SignatureMismatch("some rows do not fit the model", misfits)
        return self._tensors(values)

    def _flat(self, row: Any) -> Any:
        """A nested ``row`` as the list that it would be; what is not nested in the model's shape is left as it is."""
        if not (isinstance(row, list) and row and isinstance(row[0], list)):
            return row
        level: list[Any] = [row]
        for size in self.signature.row_shape:
            if not all(isinstance(part, list) and len(part) == size for part in level):
                return row
            level = [element for part in level for element in part]
        return level

    def _strangers(self, block: list[Any], kind: type) -> dict[int, str]:
        """Rows of another kind or size than the model's: pydantic would write an error for each of their cells."""
        size = len(self.signature.columns)
        if kind is list:
            shape = self.signature.row_shape
            expected = f"expected a list of {size} features" + (f", or one nested as {list(shape)}" if shape else "")
            wrong = [i for i, row in enumerate(block) if not isinstance(row, list) or len(row) != size]
        else:
            expected = f"expected an object with exactly these features: {shortened(self.signature.column_names)}"
            wrong = [i for i, row in enumerate(block) if not isinstance(row, dict) or len(row) > size]
        return {index: expected + _got(block[index]) for index in wrong}

    def _values(self, block: list[Any], kind: type) -> list[Sequence[Any]]:
        if kind is list:
            return self._lists.validate_python(block)
        names = self.signature.column_names
        records = self._records.validate_python(block)
        if len(names) == 1:
            return [(record[names[0]],) for record in records]
        return list(map(itemgetter(*names), records))

    def _tensors(self, values: list[Sequence[Any]]) -> Tensors:
        columns = self.signature.columns
        if self.signature.is_matrix:
            matrix = _numbers(values, columns[0], columns)
            return {"input": matrix}
        tensors: Tensors = {}
        for index, column in enumerate(columns):
            cells = [(row[index],) for row in values]
            if column.is_text:
                array = np.empty((len(cells), 1), dtype=object)
                array[:, 0] = [cell[0] for cell in cells]
                tensors[column.name] = array
            else:
                tensors[column.name] = _numbers(cells, column, (column,))
        return tensors

    def _misfit(self, detail: ErrorDetails, row: int) -> Misfit:
        place = detail["loc"]
        where = place[1] if len(place) > 1 else None
        names = self.signature.column_names
        feature = names[where] if isinstance(where, int) else where
        # A feature that the caller made up is not repeated.
        return Misfit(_said(detail), row=row, feature=feature if feature in names else None)


@lru_cache(maxsize=512)
def row_reader(signature: Signature) -> RowReader:
    """The validators of ``signature``, made once."""
    return RowReader(signature)


def _numbers(values: Sequence[Sequence[Any]], kind: Column, columns: Sequence[Column]) -> np.ndarray[Any, Any]:
    """``values`` as one array [rows, columns] of the dtype of ``kind``; raises SignatureMismatch on overflow."""
    dtype = NUMPY_DTYPES[kind.datatype]
    if dtype.kind != "f":
        return np.array(values, dtype=dtype)
    wide = np.array(values, dtype=np.float64)  # None becomes NaN
    with np.errstate(over="ignore"):
        array = wide.astype(dtype, copy=False)
    overflown = np.argwhere(np.isinf(array))
    if len(overflown):
        raise SignatureMismatch(
            "some rows do not fit the model",
            [
                Misfit(f"the number is too large for {kind.datatype}", row=int(row), feature=columns[column].name)
                for row, column in overflown[:_MAX_MISFITS]
            ],
        )
    return array


def _got(row: object) -> str:
    if not isinstance(row, list):
        return ""
    return ", got lists of another shape" if row and isinstance(row[0], list) else f", got {len(row)}"


# Pydantic's words where ours help more; {…} is the error's context. No word of the input is ever repeated.
_WORDS = {
    "missing": "this feature is missing",
    "extra_forbidden": "the model has no such feature",
    "float_type": "expected a number",
    "int_type": "expected an integer",
    "finite_number": "expected a finite number",
    "string_type": "expected a string",
    "string_unicode": "expected a string of Unicode text",
    "string_too_long": "expected at most {max_length} characters",
    "greater_than_equal": "must be at least {ge:.15g}",
    "less_than_equal": "must be at most {le:.15g}",
    "literal_error": "must be {expected}",
}


def _said(detail: ErrorDetails) -> str:
    words = _WORDS.get(detail["type"], "").format(**detail.get("ctx", {})) or str(detail["msg"])
    if detail["type"] in {"float_type", "int_type"} and _is_truth(detail["input"]):
        words += TRUTH_AS_NUMBER
    return words if len(words) <= _MAX_WORDS else "must be one of the values that the model was trained on"


def _is_truth(value: object) -> bool:
    """Whether ``value`` is a truth value, or the word for one, as CSV has it."""
    return isinstance(value, bool) or (isinstance(value, str) and value[:8].strip().lower() in {"true", "false"})

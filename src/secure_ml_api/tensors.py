"""What a model takes and gives: named, typed tensors and, for tabular models, named columns.

Datatypes carry the names of the Open Inference Protocol (``FP32``, ``INT64``, ``BYTES`` …).
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
Task = Literal["classification", "regression", "anomaly"]

NUMPY_DTYPES: dict[Datatype, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}

# One array per tensor, keyed by tensor name; the first axis of each is the rows.
Tensors = dict[str, np.ndarray[Any, np.dtype[Any]]]

# More would let a nested list of numbers have more lists than a body may.
MOST_ROW_AXES = 4

Name = Annotated[str, Field(min_length=1, max_length=256)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TensorSpec(_Frozen):
    """One tensor: its name, datatype and shape, where −1 stands for any number of rows."""

    name: Name
    datatype: Datatype
    shape: tuple[int, ...]


class Column(_Frozen):
    """One feature of a tabular model.

    ``minimum`` and ``maximum`` are inclusive; ``choices`` closes a text column to the values the model was trained on;
    ``max_length`` bounds a text in characters; ``allow_missing`` lets a floating-point column take null, which reaches
    the model as NaN.
    """

    name: Name
    datatype: Datatype = "FP32"
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] | None = None
    max_length: int | None = Field(default=None, ge=0)
    allow_missing: bool = False

    @property
    def is_text(self) -> bool:
        return self.datatype == "BYTES"

    @model_validator(mode="after")
    def _parts_make_sense(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"column {self.name}: minimum is above maximum")
        if self.choices is not None and not (self.is_text and self.choices):
            raise ValueError(f"column {self.name}: only text columns have choices, and at least one")
        if self.max_length is not None and not self.is_text:
            raise ValueError(f"column {self.name}: only a text has a length")
        if self.is_text and not (self.minimum is None and self.maximum is None):
            raise ValueError(f"column {self.name}: a text column has no bounds")
        if self.allow_missing and not self.datatype.startswith("FP"):
            raise ValueError(f"column {self.name}: only floating-point columns have a value for what is missing")
        return self


class Signature(_Frozen):
    """What one model takes and gives.

    ``classes`` are the values that the trained model predicts, in the order of its probabilities: integers are
    answered as they are, strings as their index. ``labels`` are the words for them, in the same order.

    Inputs: when all columns are numbers, which then share one datatype, one tensor ``input`` [rows, columns];
    otherwise one tensor per column, [rows, 1], named after it. With a ``row_shape`` callers send that one tensor as
    [rows, *row_shape], an image for example, and runtimes are given it as [rows, columns], row-major.

    Outputs: ``label`` INT64 [rows] and ``probabilities`` [rows, classes] for classes (``probabilities`` only when the
    model has them), ``value`` [rows] for regression, ``label`` INT64 [rows] (−1 or 1) and ``score`` [rows] for
    anomalies.
    """

    task: Task
    columns: tuple[Column, ...] = Field(min_length=1)
    classes: tuple[int, ...] | tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    has_probabilities: bool = True
    output_datatype: Literal["FP32", "FP64"] = "FP32"
    row_shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=MOST_ROW_AXES)] = ()

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("two columns have the same name")
        if self.is_matrix and len({column.datatype for column in self.columns}) > 1:
            raise ValueError("the columns of a model without text share one datatype")
        if (self.task == "classification") != bool(self.classes):
            raise ValueError("a classification has classes and nothing else has")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes are the same")
        if len(self.labels) != len(self.classes):
            raise ValueError("there is one label for each class")
        if self.row_shape and not (self.is_matrix and prod(self.row_shape) == len(self.columns)):
            raise ValueError("a row in its shape has a number for each column")
        return self

    @cached_property
    def _hash(self) -> int:
        return hash((self.task, self.columns, self.classes, self.labels))

    def __hash__(self) -> int:
        """Computed once: signatures key the caches of the hot path."""
        return self._hash

    @cached_property
    def is_matrix(self) -> bool:
        """Whether the columns are one number tensor [rows, columns]."""
        return not any(column.is_text for column in self.columns)

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As runtimes take them."""
        if self.is_matrix:
            return (TensorSpec(name="input", datatype=self.columns[0].datatype, shape=(-1, len(self.columns))),)
        return tuple(TensorSpec(name=column.name, datatype=column.datatype, shape=(-1, 1)) for column in self.columns)

    @cached_property
    def sent_inputs(self) -> tuple[TensorSpec, ...]:
        """As callers send them."""
        if not self.row_shape:
            return self.inputs
        return (self.inputs[0].model_copy(update={"shape": (-1, *self.row_shape)}),)

    @cached_property
    def outputs(self) -> tuple[TensorSpec, ...]:
        label = TensorSpec(name="label", datatype="INT64", shape=(-1,))
        if self.task == "regression":
            return (TensorSpec(name="value", datatype=self.output_datatype, shape=(-1,)),)
        if self.task == "anomaly":
            return (label, TensorSpec(name="score", datatype=self.output_datatype, shape=(-1,)))
        if not self.has_probabilities:
            return (label,)
        shape = (-1, len(self.classes))
        return (label, TensorSpec(name="probabilities", datatype=self.output_datatype, shape=shape))

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.outputs)

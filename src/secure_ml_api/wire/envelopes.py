"""The pydantic models of every request envelope; the OpenAPI document is generated from the same models."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import Misfit, SignatureMismatch
from ..tensors import Datatype

Extra = Literal["probabilities", "labels", "is_anomaly", "scores"]
MOST_EXTRAS = 4
MAX_RANK = 8
E = TypeVar("E", bound=BaseModel)


class Strict(BaseModel):
    """Refuses unknown fields, NaN and infinities, and converts nothing."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class Tolerant(BaseModel):
    """As ``Strict``, but ignores unknown fields where a public protocol says so."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True, protected_namespaces=())


class RowsRequest(Strict):
    """One row under ``features``, or many under ``instances``; a row is a list, or an object by feature name."""

    features: list[Any] | dict[str, Any] | None = None
    instances: list[Any] | None = None
    outputs: Annotated[list[Extra], Field(max_length=MOST_EXTRAS)] = Field(default_factory=list)


class TensorFlowRequest(Strict):
    """TensorFlow Serving's REST predict: rows under ``instances``, or columns under ``inputs``."""

    signature_name: str | None = Field(default=None, max_length=256)
    instances: list[Any] | None = None
    inputs: list[Any] | dict[str, Any] | None = None


class InferParameters(Tolerant):
    """Parameters of the Open Inference Protocol that are understood here; unknown ones are ignored."""

    timeout: Annotated[int, Field(ge=0, le=2**64 - 1)] | None = None
    content_type: str | None = None
    binary_data_output: bool | None = None


class InputParameters(Tolerant):
    """Parameters of one input tensor that are understood here."""

    binary_data_size: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None


class InferTensor(Tolerant):
    """One input tensor; ``data`` is nested or flat, row-major, and absent when its elements follow in binary."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    shape: Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=MAX_RANK)]
    datatype: Datatype
    parameters: InputParameters | None = None
    data: list[Any] | None = None


class OutputParameters(Tolerant):
    """Parameters of one requested output."""

    binary_data: bool | None = None


class InferOutput(Tolerant):
    """One requested output."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    parameters: OutputParameters | None = None


class InferRequest(Tolerant):
    """The Open Inference Protocol's inference request."""

    id: Annotated[str, Field(max_length=256)] | None = None
    parameters: InferParameters | None = None
    inputs: Annotated[list[InferTensor], Field(min_length=1, max_length=4096)]
    outputs: Annotated[list[InferOutput], Field(max_length=4096)] | None = None


def read_envelope(envelope: type[E], value: object) -> E:
    """``value`` as ``envelope``; raises SignatureMismatch naming the fields that do not fit."""
    if not isinstance(value, dict):
        raise SignatureMismatch("the body must be a JSON object")
    if envelope.model_config.get("extra") == "forbid" and not value.keys() <= envelope.model_fields.keys():
        # Pydantic would write an error for each of them, and there may be a million.
        known = ", ".join(envelope.model_fields)
        raise SignatureMismatch("the request does not have the expected form", [Misfit(f"the fields are {known}")])
    try:
        return envelope.model_validate(value)
    except ValidationError as error:
        misfits = [
            Misfit(detail["msg"], feature=_place(detail["loc"], envelope))
            for detail in error.errors(include_url=False, include_input=False)[:100]
        ]
        raise SignatureMismatch("the request does not have the expected form", misfits) from None


def _place(location: tuple[int | str, ...], envelope: type[BaseModel]) -> str | None:
    """The path of a field that this program knows; names that the caller made up are not repeated."""
    known = [part for part in location if isinstance(part, int) or part in _FIELDS or part in envelope.model_fields]
    return ".".join(map(str, known)) or None


_FIELDS = frozenset(name for model in (InferTensor, InferOutput, InferParameters) for name in model.model_fields)

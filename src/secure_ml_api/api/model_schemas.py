"""Typed schemas of one served model's rows protocol, made from the very types that validate its requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model

from ..models.model import Model
from ..tensors import Signature
from ..wire.envelopes import MOST_EXTRAS, Strict
from ..wire.outputs import EXTRAS, has_extra
from ..wire.row_reader import row_reader
from .card_schemas import AnswerSchema

# Null where what the model computes is not finite.
_NUMBER: Any = float | None


@dataclass(frozen=True, slots=True)
class RowSchemas:
    """Request and answer models, for one row and for many."""

    one_request: type[BaseModel]
    many_request: type[BaseModel]
    one_answer: type[BaseModel]
    many_answer: type[BaseModel]


def row_schemas(model: Model, max_rows: int) -> RowSchemas:
    """The schemas of ``model``."""
    signature = model.signature
    reader = row_reader(signature)
    rows = Field(min_length=1, max_length=max_rows)
    extras = tuple(extra for extra in EXTRAS[signature.task] if has_extra(extra, signature))
    lists: Any = Annotated[_list_of(reader.list_row), rows]
    records: Any = Annotated[_list_of(reader.named_row), rows]
    many: dict[str, Any] = {"instances": (lists | records, ...)}
    if extras:
        many["outputs"] = (Annotated[_list_of(Literal[extras]), Field(max_length=MOST_EXTRAS)], [])
    # With a factory instead of a value: the schema then says optional, and shows no default.
    absent: Any = Field(default_factory=list)
    beside: dict[str, Any] = {extra: (_list_of(_extra_type(extra, signature)), absent) for extra in extras}
    head: dict[str, Any] = {"model": (Literal[model.name], ...), "version": (Literal[model.version], ...)}
    prediction = _prediction_type(signature)
    return RowSchemas(
        create_model("Row", __base__=Strict, features=(reader.list_row | reader.named_row, ...)),
        create_model("Rows", __base__=Strict, **many),
        create_model(
            "Prediction", __base__=AnswerSchema, **head, prediction=(prediction, ...), **_single_extras(signature)
        ),
        create_model(
            "Predictions",
            __base__=AnswerSchema,
            **head,
            predictions=(_list_of(prediction), ...),
            **beside,
        ),
    )


def _list_of(kind: Any) -> Any:
    return list[kind]


def _prediction_type(signature: Signature) -> Any:
    if signature.task == "regression":
        return _NUMBER
    if signature.task == "anomaly":
        return Literal[-1, 1]
    if isinstance(signature.classes[0], int):
        return Literal[signature.classes]
    return Annotated[int, Field(ge=0, lt=len(signature.classes))]


def _single_extras(signature: Signature) -> dict[str, Any]:
    if signature.task == "anomaly":
        return {"is_anomaly": (bool, ...), "score": (_NUMBER, ...)}
    if signature.task == "regression":
        return {}
    extras: dict[str, Any] = {"label": (_extra_type("labels", signature), ...)}
    if signature.has_probabilities:
        extras["probabilities"] = (_extra_type("probabilities", signature), ...)
    return extras


def _extra_type(extra: str, signature: Signature) -> Any:
    size = len(signature.classes)
    return {
        "labels": Literal[signature.labels] if signature.labels else str,
        "probabilities": Annotated[_list_of(_NUMBER), Field(min_length=size, max_length=size)],
        "is_anomaly": bool,
        "scores": _NUMBER,
    }[extra]

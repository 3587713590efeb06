"""What a model's card looks like in its metadata, and what all schemas of answers share."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class AnswerSchema(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class CardComparison(AnswerSchema):
    """How the version did beside the one ``with`` which it was compared, and which served."""

    served: str = Field(alias="with")
    digest: str
    metric: str
    difference: float
    interval_95: tuple[float, float]
    verdict: Literal["better", "worse", "not distinguishable"]


class CardEvaluation(AnswerSchema):
    at: AwareDatetime
    data_sha256: str
    rows: int
    metrics: dict[str, float]
    by_class: dict[str, dict[str, float]]
    positive_class: str | None = None
    compared: CardComparison | None = None


class CardData(AnswerSchema):
    """What the model learnt from, as whoever packed it tells; ``rows`` and ``sha256`` are of its file, if given."""

    name: str
    description: str
    licence: str
    as_of: date | None
    rows: int | None
    sha256: str | None


class ModelCard(AnswerSchema):
    version: str
    digest: str
    description: str
    created: AwareDatetime
    task: Literal["classification", "regression", "anomaly"]
    runtime: str
    estimator: str
    hyperparameters: dict[str, str]
    libraries: dict[str, str]
    source: str
    source_sha256: str | None
    sample_sha256: str | None
    packed_by: str
    training_data: CardData | None
    metrics: dict[str, float]
    proved_rows: int
    evaluations: list[CardEvaluation]

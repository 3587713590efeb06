"""The pydantic models of answers, from which the OpenAPI document is generated (requests: ``wire.envelopes``)."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class ProblemError(_Answer):
    """One place where the request does not fit."""

    detail: str
    row: int | None = Field(default=None, ge=0)
    feature: str | None = None


class Problem(_Answer):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[ProblemError] = []


class OipProblem(Problem):
    """The same, with the one field that clients of the Open Inference Protocol read."""

    error: str


class OAuthProblem(_Answer):
    """RFC 6749, section 5.2."""

    error: str
    error_description: str | None = None


class TokenRequest(_Answer):
    """RFC 6749, section 4.4.2; the client may authenticate with HTTP Basic instead of the last two fields."""

    grant_type: Literal["client_credentials"]
    scope: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class TokenAnswer(_Answer):
    """RFC 6749, section 4.4.3."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class TokenSubject(_Answer):
    """RFC 7009 and RFC 7662: the token in question."""

    token: str
    token_type_hint: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class Introspection(BaseModel):
    """RFC 7662, section 2.2; an inactive token is answered with ``active`` alone."""

    model_config = ConfigDict(extra="allow")

    active: bool


class Live(_Answer):
    live: Literal[True]


class Ready(_Answer):
    """``models_with_problems`` and ``detail`` are there when a worker refused versions of a model or a file of it.

    What served before serves on. The repository index says which version was refused, and why.
    """

    ready: bool
    live: Literal[True]
    models_with_problems: int = Field(default=0, ge=0)
    detail: str = ""


class ModelReady(_Answer):
    name: str
    ready: Literal[True]


class Server(_Answer):
    name: str
    version: str
    extensions: list[str]


class Tensor(_Answer):
    name: str
    datatype: str
    shape: list[int]


class CardComparison(_Answer):
    """How the version did beside the one ``with`` which it was compared, and which served."""

    served: str = Field(alias="with")
    digest: str
    metric: str
    difference: float
    interval_95: tuple[float, float]
    verdict: Literal["better", "worse", "not distinguishable"]


class CardEvaluation(_Answer):
    at: AwareDatetime
    data_sha256: str
    rows: int
    metrics: dict[str, float]
    by_class: dict[str, dict[str, float]]
    positive_class: str | None = None
    compared: CardComparison | None = None


class CardData(_Answer):
    """What the model learnt from, as whoever packed it tells; ``rows`` and ``sha256`` are of its file, if given."""

    name: str
    description: str
    licence: str
    as_of: date | None
    rows: int | None
    sha256: str | None


class ModelCard(_Answer):
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


class ModelMetadata(_Answer):
    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    parameters: ModelCard


class OutputTensor(Tensor):
    data: list[Any]


class InferAnswer(_Answer):
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class RepositoryEntry(_Answer):
    name: str
    version: str
    state: Literal["UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"]
    reason: str


class Loaded(_Answer):
    """The model serves. ``problems``, if any, says by version (or file of the model) what was refused, and why."""

    name: str
    load: Literal[True]
    problems: dict[str, str] = {}


class Unloaded(_Answer):
    name: str
    unload: Literal[True]


class OnePrediction(_Answer):
    """One row's answer; ``label`` and ``probabilities`` for classes, ``is_anomaly`` and ``score`` for anomalies.

    A number is null where what the model computes is not finite, as it may be far outside what it was trained on.
    """

    model: str
    version: str
    prediction: int | float | None
    label: str | None = None
    probabilities: list[float | None] | None = None
    is_anomaly: bool | None = None
    score: float | None = None


class ManyPredictions(_Answer):
    """Many rows' answers, in their order; the lists beside ``predictions`` come when ``outputs`` asks for them."""

    model: str
    version: str
    predictions: list[int | float | None]
    labels: list[str] | None = None
    probabilities: list[list[float | None]] | None = None
    is_anomaly: list[bool] | None = None
    scores: list[float | None] | None = None


class TensorFlowPredictions(_Answer):
    predictions: list[Any]


class TensorFlowOutputs(_Answer):
    outputs: list[Any] | dict[str, list[Any]]


class TensorFlowVersionStatus(_Answer):
    version: str
    state: str
    status: dict[str, str]


class TensorFlowStatus(_Answer):
    model_version_status: list[TensorFlowVersionStatus]


class TensorFlowMetadata(_Answer):
    model_spec: dict[str, str]
    metadata: dict[str, Any]

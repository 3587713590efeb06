"""The pydantic models of answers, from which the OpenAPI document is generated (requests: ``wire.envelopes``)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .card_schemas import AnswerSchema, ModelCard


class ProblemError(AnswerSchema):
    """One place where the request does not fit."""

    detail: str
    row: int | None = Field(default=None, ge=0)
    feature: str | None = None


class Problem(AnswerSchema):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[ProblemError] = Field(default=[])


class OipProblem(Problem):
    """The same, with the one field that clients of the Open Inference Protocol read."""

    error: str


class OAuthProblem(AnswerSchema):
    """RFC 6749, section 5.2."""

    error: str
    error_description: str | None = None


class TokenRequest(AnswerSchema):
    """RFC 6749, section 4.4.2; the client may authenticate with HTTP Basic instead of the last two fields."""

    grant_type: Literal["client_credentials"]
    scope: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class TokenAnswer(AnswerSchema):
    """RFC 6749, section 4.4.3."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class TokenSubject(AnswerSchema):
    """RFC 7009 and RFC 7662: the token in question."""

    token: str
    token_type_hint: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class Introspection(BaseModel):
    """RFC 7662, section 2.2; an inactive token is answered with ``active`` alone."""

    model_config = ConfigDict(extra="allow")

    active: bool


class Live(AnswerSchema):
    live: Literal[True]


class Ready(AnswerSchema):
    """``models_with_problems`` and ``detail`` are there when a worker refused versions of a model or a file of it.

    What served before serves on. The repository index says which version was refused, and why.
    """

    ready: bool
    live: Literal[True]
    models_with_problems: int = Field(default=0, ge=0)
    detail: str = ""


class ModelReady(AnswerSchema):
    name: str
    ready: Literal[True]


class Server(AnswerSchema):
    name: str
    version: str
    extensions: list[str]


class Tensor(AnswerSchema):
    name: str
    datatype: str
    shape: list[int]


class InputFeatures(AnswerSchema):
    """``features`` names the columns of a tensor [rows, features], in their order."""

    features: list[str] = Field(default=[])


class InputMetadata(Tensor):
    """``parameters`` is there where the columns of the tensor have names: one tensor for each may be sent instead."""

    parameters: InputFeatures = Field(default_factory=InputFeatures)


class ModelMetadata(AnswerSchema):
    name: str
    versions: list[str]
    platform: str
    inputs: list[InputMetadata]
    outputs: list[Tensor]
    parameters: ModelCard


class OutputTensor(Tensor):
    data: list[Any]


class InferAnswer(AnswerSchema):
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class RepositoryEntry(AnswerSchema):
    name: str
    version: str
    state: Literal["UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"]
    reason: str


class Loaded(AnswerSchema):
    """The model serves. ``problems``, if any, says by version (or file of the model) what was refused, and why."""

    name: str
    load: Literal[True]
    problems: dict[str, str] = Field(default={})


class Unloaded(AnswerSchema):
    name: str
    unload: Literal[True]


class OnePrediction(AnswerSchema):
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


class ManyPredictions(AnswerSchema):
    """Many rows' answers, in their order; the lists beside ``predictions`` come when ``outputs`` asks for them."""

    model: str
    version: str
    predictions: list[int | float | None]
    labels: list[str] | None = None
    probabilities: list[list[float | None]] | None = None
    is_anomaly: list[bool] | None = None
    scores: list[float | None] | None = None


class TensorFlowPredictions(AnswerSchema):
    predictions: list[Any]


class TensorFlowOutputs(AnswerSchema):
    outputs: list[Any] | dict[str, list[Any]]


class TensorFlowVersionStatus(AnswerSchema):
    version: str
    state: str
    status: dict[str, str]


class TensorFlowStatus(AnswerSchema):
    model_version_status: list[TensorFlowVersionStatus]


class TensorFlowMetadata(AnswerSchema):
    model_spec: dict[str, str]
    metadata: dict[str, Any]

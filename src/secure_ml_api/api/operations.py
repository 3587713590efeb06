"""Every route as the OpenAPI document describes it: one table, held against the URL map by a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ..wire import envelopes
from . import schemas

Schema = type[BaseModel] | tuple[type[BaseModel], ...]

FORM = "application/x-www-form-urlencoded"
_READ_MODEL = ("models:read", "predict:NAME", "predict:*")
_PREDICT = ("predict:NAME", "predict:*")
_GUARDED = (401, 403, 429, 503)
_PREDICTING = (400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route. ``scopes``: any one opens it; empty: no bearer token is asked for."""

    method: str
    path: str
    id: str
    tag: str
    summary: str
    answer: Schema | None
    scopes: tuple[str, ...] = ()
    request: Schema | None = None
    form: bool = False
    client_authenticated: bool = False
    refusals: tuple[int, ...] = (429,)
    content_type: str = "application/json"
    example: Any = None


OPERATIONS: tuple[Operation, ...] = (
    Operation("get", "/v2/health/live", "live", "Health", "Is the process alive?", schemas.Live, refusals=()),
    Operation("get", "/v2/health/ready", "ready", "Health", "May it be sent requests?", schemas.Ready, refusals=(503,)),
    Operation("get", "/v2", "server", "Open Inference Protocol", "Name, version and extensions.", schemas.Server),
    Operation(
        "post",
        "/oauth/token",
        "token",
        "Tokens",
        "Get an access token for a client's credentials (RFC 6749).",
        schemas.TokenAnswer,
        request=schemas.TokenRequest,
        form=True,
        client_authenticated=True,
        refusals=(400, 401, 413, 429, 503),
        example={"grant_type": "client_credentials", "scope": "predict:iris"},
    ),
    Operation(
        "post",
        "/oauth/revoke",
        "revoke",
        "Tokens",
        "Revoke one of the client's own tokens (RFC 7009).",
        None,
        request=schemas.TokenSubject,
        form=True,
        client_authenticated=True,
        refusals=(400, 401, 413, 429, 503),
    ),
    Operation(
        "post",
        "/oauth/introspect",
        "introspect",
        "Tokens",
        "Is a token active, and what does it say (RFC 7662)?",
        schemas.Introspection,
        request=schemas.TokenSubject,
        form=True,
        client_authenticated=True,
        refusals=(400, 401, 413, 429, 503),
    ),
    Operation("get", "/.well-known/jwks.json", "jwks", "Tokens", "Keys that verify this server's tokens.", None),
    Operation(
        "get",
        "/.well-known/oauth-authorization-server",
        "authorizationServer",
        "Tokens",
        "Authorization server metadata (RFC 8414).",
        None,
    ),
    Operation("get", "/openapi.json", "openapi", "Documents", "This document.", None),
    Operation("get", "/docs", "docs", "Documents", "This document as a page.", None, content_type="text/html"),
    Operation(
        "post",
        "/v1/models/{name}/predict",
        "predictRows",
        "Rows",
        "Predict one row, or many.",
        (schemas.OnePrediction, schemas.ManyPredictions),
        _PREDICT,
        envelopes.RowsRequest,
        refusals=_PREDICTING,
        example={"features": [5.1, 3.5, 1.4, 0.2]},
    ),
    Operation(
        "post",
        "/v1/models/{name}/versions/{version}/predict",
        "predictRowsVersion",
        "Rows",
        "Predict with one version.",
        (schemas.OnePrediction, schemas.ManyPredictions),
        _PREDICT,
        envelopes.RowsRequest,
        refusals=_PREDICTING,
    ),
    Operation(
        "post",
        "/v1/models/{name}:predict",
        "predictTensorFlow",
        "TensorFlow Serving",
        "Predict as TensorFlow Serving's REST API does.",
        (schemas.TensorFlowPredictions, schemas.TensorFlowOutputs),
        _PREDICT,
        envelopes.TensorFlowRequest,
        refusals=_PREDICTING,
        example={"instances": [[5.1, 3.5, 1.4, 0.2]]},
    ),
    Operation(
        "post",
        "/v1/models/{name}/versions/{version}:predict",
        "predictTensorFlowVersion",
        "TensorFlow Serving",
        "Predict with one version.",
        (schemas.TensorFlowPredictions, schemas.TensorFlowOutputs),
        _PREDICT,
        envelopes.TensorFlowRequest,
        refusals=_PREDICTING,
    ),
    Operation(
        "get",
        "/v1/models/{name}",
        "statusTensorFlow",
        "TensorFlow Serving",
        "State of the version that serves.",
        schemas.TensorFlowStatus,
        _READ_MODEL,
        refusals=(*_GUARDED, 404),
    ),
    Operation(
        "get",
        "/v1/models/{name}/versions/{version}",
        "statusTensorFlowVersion",
        "TensorFlow Serving",
        "State of one version.",
        schemas.TensorFlowStatus,
        _READ_MODEL,
        refusals=(*_GUARDED, 404),
    ),
    Operation(
        "get",
        "/v1/models/{name}/metadata",
        "metadataTensorFlow",
        "TensorFlow Serving",
        "Signature of the version that serves.",
        schemas.TensorFlowMetadata,
        _READ_MODEL,
        refusals=(*_GUARDED, 404),
    ),
    Operation(
        "get",
        "/v1/models/{name}/versions/{version}/metadata",
        "metadataTensorFlowVersion",
        "TensorFlow Serving",
        "Signature of one version.",
        schemas.TensorFlowMetadata,
        _READ_MODEL,
        refusals=(*_GUARDED, 404),
    ),
    Operation(
        "get",
        "/v2/models/{name}",
        "model",
        "Open Inference Protocol",
        "Tensors that a model takes and gives.",
        schemas.ModelMetadata,
        _READ_MODEL,
        refusals=(*_GUARDED, 404),
    ),
    Operation(
        "get",
        "/v2/models/{name}/versions/{version}",
        "modelVersion",
        "Open Inference Protocol",
        "Tensors that one version takes and gives.",
        schemas.ModelMetadata,
        _READ_MODEL,
        refusals=(*_GUARDED, 404),
    ),
    Operation(
        "get",
        "/v2/models/{name}/ready",
        "modelReady",
        "Open Inference Protocol",
        "Is the model ready?",
        schemas.ModelReady,
        _READ_MODEL,
        refusals=(*_GUARDED, 404),
    ),
    Operation(
        "get",
        "/v2/models/{name}/versions/{version}/ready",
        "modelVersionReady",
        "Open Inference Protocol",
        "Is the version ready?",
        schemas.ModelReady,
        _READ_MODEL,
        refusals=(*_GUARDED, 404),
    ),
    Operation(
        "post",
        "/v2/models/{name}/infer",
        "infer",
        "Open Inference Protocol",
        "Tensors in, tensors out.",
        schemas.InferAnswer,
        _PREDICT,
        envelopes.InferRequest,
        refusals=_PREDICTING,
        example={"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]},
    ),
    Operation(
        "post",
        "/v2/models/{name}/versions/{version}/infer",
        "inferVersion",
        "Open Inference Protocol",
        "Tensors in, tensors out, by one version.",
        schemas.InferAnswer,
        _PREDICT,
        envelopes.InferRequest,
        refusals=_PREDICTING,
    ),
    Operation(
        "post",
        "/v2/repository/index",
        "repositoryIndex",
        "Model life",
        "Every model and version, and whether it serves.",
        None,
        ("models:admin",),
        refusals=(*_GUARDED, 413),
    ),
)

"""A small OpenAPI document with one of everything that the documentation page shows."""

from __future__ import annotations

from typing import Any

PROBLEMS: list[dict[str, Any]] = [
    {
        "reason": "malformed_body",
        "status": 400,
        "title": "Malformed body",
        "description": "The bytes are not what their `Content-Type` says: bad JSON, NaN, duplicate keys, bad UTF-8.",
    },
    {"reason": "token_missing", "status": 401, "title": "Token required", "description": "No bearer token came."},
    {
        "reason": "quota_exceeded",
        "status": 429,
        "title": "Quota exceeded",
        "description": "A quota is used up.\n\nWait for `Retry-After` seconds.",
    },
    {"reason": "overloaded", "status": 503, "title": "Overloaded", "description": "Too much at once."},
]

_CENTIMETRES = {"datatype": "FP32", "minimum": 0.0, "maximum": 30.0}

MODELS: list[dict[str, Any]] = [
    {
        "name": "iris",
        "version": "1",
        "task": "classification",
        "features": [
            {"name": f"{part} (cm)", **_CENTIMETRES}
            for part in ("sepal length", "sepal width", "petal length", "petal width")
        ],
        "classes": ["setosa", "versicolor", "virginica"],
    },
    {
        "name": "loans",
        "version": "3",
        "task": "regression",
        "features": [
            {"name": "income", "datatype": "FP32", "minimum": 0, "maximum": None},
            {"name": "purpose", "datatype": "BYTES", "choices": ["car", "house", "owner's own"]},
        ],
        "classes": [],
    },
    {
        "name": "outliers",
        "version": "1",
        "task": "anomaly",
        "features": [{"name": f"feature_{index}", "datatype": "FP64"} for index in range(20)],
        "classes": [],
    },
]

_REFUSED = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}

_PREDICT: dict[str, Any] = {
    "operationId": "predict",
    "tags": ["Predict"],
    "summary": "Predict from rows",
    "description": "One row under `features`, or many under `instances`.\n\nAnswers keep the order of the rows.",
    "security": [{"bearer": ["predict:NAME"]}, {"bearer": ["predict:*"]}],
    "parameters": [{"$ref": "#/components/parameters/Name"}],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [{"$ref": "#/components/schemas/Row"}, {"$ref": "#/components/schemas/Batch"}],
                },
                "examples": {
                    "row": {"summary": "One row", "value": {"features": [5.1, 3.5, 1.4, 0.2]}},
                    "batch": {"summary": "Two rows", "value": {"instances": [[5.1, 3.5, 1.4, 0.2], [6, 3, 5, 2]]}},
                },
            },
            "text/csv": {"schema": {"type": "string"}, "example": "sepal length (cm),…\n5.1,3.5,1.4,0.2"},
        },
    },
    "responses": {
        "200": {
            "description": "The predictions.",
            "headers": {"RateLimit": {"schema": {"type": "string"}, "description": "What is left of each quota."}},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Prediction"}}},
        },
        "401": {"description": "No token, or one that does not hold.", **_REFUSED},
        "429": {"description": "A quota is used up.", **_REFUSED},
        "503": {"description": "Overloaded.", **_REFUSED},
    },
}


def sample_document() -> dict[str, Any]:
    """A document that a test may change."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "secure-ml-api",
            "version": "0.1.0",
            "description": "Trained models behind scoped tokens, exact quotas and signed packages.",
        },
        "tags": [
            {"name": "Predict", "description": "Rows or tensors in, predictions out."},
            {"name": "Health", "description": "For probes."},
        ],
        "paths": {
            "/v1/models/{name}/predict": {"post": dict(_PREDICT)},
            "/v2/health/live": {
                "get": {
                    "operationId": "live",
                    "tags": ["Health"],
                    "summary": "Is the process alive?",
                    "security": [],
                    "responses": {
                        "200": {
                            "description": "It is.",
                            "content": {
                                "application/json": {
                                    "schema": {"type": "object", "properties": {"live": {"const": True}}},
                                    "example": {"live": True},
                                }
                            },
                        }
                    },
                }
            },
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "parameters": {
                "Name": {
                    "name": "name",
                    "in": "path",
                    "required": True,
                    "description": "The model's name.",
                    "schema": {"type": "string", "maxLength": 64, "enum": ["iris", "loans", "outliers"]},
                }
            },
            "schemas": _SCHEMAS,
        },
        "x-models": [dict(model) for model in MODELS],
        "x-problems": [dict(problem) for problem in PROBLEMS],
    }


_SCHEMAS = {
    "Row": {
        "type": "object",
        "title": "One row",
        "required": ["features"],
        "properties": {
            "features": {
                "description": "The row, as a list in the model's order or as an object by feature name.",
                "anyOf": [
                    {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
                    {
                        "type": "object",
                        "required": ["sepal length (cm)"],
                        "properties": {"sepal length (cm)": {"type": "number", "minimum": 0, "maximum": 30}},
                    },
                ],
            }
        },
    },
    "Batch": {
        "type": "object",
        "title": "Many rows",
        "required": ["instances"],
        "properties": {
            "instances": {
                "type": "array",
                "minItems": 1,
                "maxItems": 10000,
                "items": {"type": "array", "items": {"type": "number"}},
            },
            "outputs": {
                "type": "array",
                "items": {"type": "string", "enum": ["probabilities", "labels"]},
                "description": "What to answer beside the predictions.",
            },
        },
    },
    "Prediction": {
        "type": "object",
        "required": ["model", "version"],
        "properties": {
            "model": {"type": "string"},
            "version": {"type": "string"},
            "prediction": {"anyOf": [{"type": "integer"}, {"type": "number"}]},
            "probabilities": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}},
        },
    },
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "causes": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
        },
    },
}

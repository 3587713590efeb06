"""TensorFlow Serving's REST API: predict, status and metadata."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from ..models.model import Model
from ..models.registry import Registry
from ..tensors import Datatype, TensorSpec
from ..wire.json_answer import json_answer
from ..wire.tfserving import SIGNATURE_NAME, TENSORFLOW
from .door import Door, response_of

# The names of tensorflow/core/framework/types.proto.
_DTYPES: dict[Datatype, str] = {
    "BOOL": "DT_BOOL",
    "UINT8": "DT_UINT8",
    "UINT16": "DT_UINT16",
    "UINT32": "DT_UINT32",
    "UINT64": "DT_UINT64",
    "INT8": "DT_INT8",
    "INT16": "DT_INT16",
    "INT32": "DT_INT32",
    "INT64": "DT_INT64",
    "FP16": "DT_HALF",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
    "BYTES": "DT_STRING",
}


def tensorflow_routes(door: Door, registry: Registry) -> Blueprint:
    """TensorFlow Serving's routes."""
    routes = Blueprint("tensorflow", __name__, url_prefix="/v1/models")

    @routes.post("/<model:name>:predict")
    def predict(name: str) -> Response:
        return door.predict(TENSORFLOW, name, None)

    @routes.post("/<model:name>/versions/<model:version>:predict")
    def predict_version(name: str, version: str) -> Response:
        return door.predict(TENSORFLOW, name, version)

    @routes.get("/<model:name>")
    def status(name: str) -> Response:
        return response_of(json_answer({"model_version_status": [_status(registry.resolve(name, None))]}))

    @routes.get("/<model:name>/versions/<model:version>")
    def status_version(name: str, version: str) -> Response:
        return response_of(json_answer({"model_version_status": [_status(registry.resolve(name, version))]}))

    @routes.get("/<model:name>/metadata")
    def metadata(name: str) -> Response:
        return response_of(json_answer(_metadata(registry.resolve(name, None))))

    @routes.get("/<model:name>/versions/<model:version>/metadata")
    def metadata_version(name: str, version: str) -> Response:
        return response_of(json_answer(_metadata(registry.resolve(name, version))))

    return routes


def _status(model: Model) -> dict[str, Any]:
    return {
        "version": model.version,
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }


def _metadata(model: Model) -> dict[str, Any]:
    signature = {
        "inputs": {spec.name: _tensor_info(spec) for spec in model.signature.sent_inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in model.signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": model.version},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE_NAME: signature}}},
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "dtype": _DTYPES[spec.datatype],
        "tensor_shape": {"dim": [{"size": str(size), "name": ""} for size in spec.shape], "unknown_rank": False},
    }

"""``/v2``: the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from .. import __version__
from ..models.model import Model
from ..models.registry import Registry
from ..models.store import Store
from ..tensors import Signature, TensorSpec
from ..wire.json_answer import json_answer
from ..wire.oip import OIP
from .door import Door, response_of
from .model_card import model_card

EXTENSIONS = ("binary_tensor_data",)


def oip_routes(door: Door, registry: Registry, store: Store) -> Blueprint:
    """The Open Inference Protocol's routes, health apart."""
    routes = Blueprint("oip", __name__, url_prefix="/v2")

    @routes.get("")
    def server() -> Response:
        return response_of(json_answer({"name": "secure-ml-api", "version": __version__, "extensions": EXTENSIONS}))

    @routes.get("/models/<model:name>")
    def model(name: str) -> Response:
        return response_of(json_answer(_metadata(registry.resolve(name, None), registry, store)))

    @routes.get("/models/<model:name>/versions/<model:version>")
    def model_version(name: str, version: str) -> Response:
        return response_of(json_answer(_metadata(registry.resolve(name, version), registry, store)))

    @routes.get("/models/<model:name>/ready")
    def model_ready(name: str) -> Response:
        return response_of(json_answer({"name": registry.resolve(name, None).name, "ready": True}))

    @routes.get("/models/<model:name>/versions/<model:version>/ready")
    def model_version_ready(name: str, version: str) -> Response:
        return response_of(json_answer({"name": registry.resolve(name, version).name, "ready": True}))

    @routes.post("/models/<model:name>/infer")
    def infer(name: str) -> Response:
        return door.predict(OIP, name, None)

    @routes.post("/models/<model:name>/versions/<model:version>/infer")
    def infer_version(name: str, version: str) -> Response:
        return door.predict(OIP, name, version)

    return routes


def inputs_of(signature: Signature) -> list[dict[str, Any]]:
    """The tensors that callers send, as metadata shows them; where a tensor is a matrix, with the names of its columns.

    Tensors of one column are named after it, and the numbers of an image have their place instead of a name.
    """
    shown = [_tensor(spec) for spec in signature.sent_inputs]
    if signature.is_matrix and not signature.row_shape:
        shown[0]["parameters"] = {"features": list(signature.column_names)}
    return shown


def _metadata(model: Model, registry: Registry, store: Store) -> dict[str, Any]:
    return {
        "name": model.name,
        "versions": [other.version for other in registry.models() if other.name == model.name],
        "platform": f"{model.runtime}_{model.runtime}v1",
        "inputs": inputs_of(model.signature),
        "outputs": [_tensor(spec) for spec in model.signature.outputs],
        "parameters": model_card(model, store),
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}

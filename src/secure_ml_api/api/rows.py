"""``/v1/models/NAME/predict``: rows in, predictions out."""

from __future__ import annotations

from flask import Blueprint, Response

from ..wire.rows import ROWS
from .door import Door


def rows_routes(door: Door) -> Blueprint:
    """The rows protocol's routes."""
    routes = Blueprint("rows", __name__, url_prefix="/v1/models")

    @routes.post("/<model:name>/predict")
    def predict(name: str) -> Response:
        return door.predict(ROWS, name, None)

    @routes.post("/<model:name>/versions/<model:version>/predict")
    def predict_version(name: str, version: str) -> Response:
        return door.predict(ROWS, name, version)

    return routes

"""Requests of the Open Inference Protocol in JSON, read as the server reads them."""

from __future__ import annotations

import json
from typing import Any

from secure_ml_api.tensors import Signature
from secure_ml_api.wire.oip import OipQuestion, decode_oip
from secure_ml_api.wire.question import Payload
from support.signatures import IRIS


def tensor(name: str, shape: list[int], datatype: str, data: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def decode(inputs: list[dict[str, Any]], signature: Signature = IRIS, max_rows: int = 1000, **more: Any) -> OipQuestion:
    return decode_oip(Payload(json.dumps({"inputs": inputs, **more}).encode()), signature, max_rows)


def iris(shape: list[int], data: Any, **more: Any) -> OipQuestion:
    return decode([tensor("input", shape, "FP32", data)], **more)

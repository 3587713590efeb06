"""Requests of the binary tensor extension: a head in JSON, then elements, read as the server reads them."""

from __future__ import annotations

import json
import struct
from typing import Any

from secure_ml_api.tensors import Signature
from secure_ml_api.wire.oip import OipQuestion, decode_oip
from secure_ml_api.wire.question import Payload
from support.signatures import IRIS

ROW = struct.pack("<4f", 1, 2, 3, 4)


def tensor(name: str, shape: list[int], datatype: str, size: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}, **more}


def payload(inputs: list[dict[str, Any]], tail: bytes, length: str = "", **more: Any) -> Payload:
    head = json.dumps({"inputs": inputs, **more}).encode()
    return Payload(head + tail, inference_header_length=length or str(len(head)))


def decode(inputs: list[dict[str, Any]], tail: bytes, signature: Signature = IRIS, **more: Any) -> OipQuestion:
    return decode_oip(payload(inputs, tail, **more), signature, 1000)


def iris(tail: bytes = ROW, rows: int = 1, size: int | None = None, **more: Any) -> OipQuestion:
    return decode([tensor("input", [rows, 4], "FP32", len(tail) if size is None else size)], tail, **more)

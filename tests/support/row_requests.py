"""Requests of the rows protocol, read as the server reads them."""

from __future__ import annotations

import json

from secure_ml_api.tensors import Signature
from secure_ml_api.wire.question import Payload
from secure_ml_api.wire.rows import RowsQuestion, decode_rows
from support.signatures import IRIS


def decode(body: object, signature: Signature = IRIS, max_rows: int = 1000) -> RowsQuestion:
    return decode_rows(Payload(json.dumps(body).encode()), signature, max_rows)

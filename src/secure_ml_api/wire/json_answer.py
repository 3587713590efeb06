"""Answers as JSON, written straight from arrays."""

from __future__ import annotations

from typing import Any

import orjson

from .question import Answer


def json_answer(payload: dict[str, Any], status: int = 200) -> Answer:
    """``payload``, whose values may be contiguous NumPy arrays, as one JSON answer."""
    return Answer(orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY), status=status)

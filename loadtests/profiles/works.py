"""What the profiles are measured with."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from ..rows import row, rows


@dataclass(frozen=True, slots=True)
class Work:
    """One request, sent over so many connections as fast as it is answered."""

    key: str
    title: str
    model: str
    body: bytes
    connections: int


def _single(model: str) -> bytes:
    return json.dumps({"features": row(model, random.Random(1))}).encode()


def _many(model: str, count: int) -> bytes:
    return json.dumps({"instances": rows(model, count, random.Random(1))}).encode()


# None has more connections than the profile with the shortest queue takes in: a refusal would be no measurement.
WORKS = (
    Work("row", "one row to a decision tree, 16 connections", "iris-tree", _single("iris-tree"), 16),
    Work("forest", "one row to an isolation forest, 16 connections", "outliers", _single("outliers"), 16),
    Work("batch", "100 rows to a scaled SVM, 4 connections", "cancer-svm", _many("cancer-svm", 100), 4),
)

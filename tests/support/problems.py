"""Problem documents, held against the table in docs/http.md."""

from __future__ import annotations

from typing import Any

from secure_ml_api.api.openapi import build_document


def assert_is_listed(fields: dict[str, Any]) -> None:
    """``fields`` of a problem document are a row of the table."""
    listed = build_document((), max_rows=1)["x-problems"]
    rows = {(f"/docs#{each['reason']}", each["status"], each["title"]) for each in listed}
    assert (fields["type"], fields["status"], fields["title"]) in rows

"""The documentation page of a sample of a document."""

from __future__ import annotations

from typing import Any

import pytest

from secure_ml_api.api.docs_page import render_docs
from support.html_page import Page
from support.openapi_sample import sample_document


@pytest.fixture
def document() -> dict[str, Any]:
    return sample_document()


@pytest.fixture
def page(document: dict[str, Any]) -> Page:
    return Page(render_docs(document))

"""The page on the HTTP interface says what the OpenAPI document does."""

from __future__ import annotations

import re
from pathlib import Path

from secure_ml_api.api.operations import OPERATIONS
from secure_ml_api.cli.http_page import render

PAGE = Path(__file__).parents[3] / "docs" / "http.md"


def test_the_page_is_the_one_that_the_code_generates() -> None:
    regenerate = "run: python -m secure_ml_api.cli.http_page > docs/http.md"
    assert PAGE.read_text("utf-8") == render(), regenerate


def test_every_route_has_its_place_on_the_page_and_says_what_it_needs() -> None:
    page = render()
    for operation in OPERATIONS:
        _, _, after = page.partition(f"### `{operation.method.upper()} {operation.path}`\n")
        assert operation.summary in after
        needs = next(line for line in after.splitlines() if line.startswith("| needs |"))
        assert all(f"`{scope}`" in needs for scope in operation.scopes)


def test_scope_that_opens_no_route_names_the_one_that_says_more_with_it() -> None:
    needed = {scope for operation in OPERATIONS for scope in operation.scopes}
    for scope, text in re.findall(r"^\| `([a-z]+:\S+)` \| (.*) \|$", render(), re.MULTILINE):
        assert scope in needed or any(f"`{operation.path}`" in text for operation in OPERATIONS), scope

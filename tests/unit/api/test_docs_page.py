"""The documentation page as a whole: its anchors, its looks, nothing fetched, and whatever it tells stays text."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from typing import Any

import pytest

from secure_ml_api.api.docs_page import STYLE_SHA256, render_docs
from secure_ml_api.api.openapi import build_document
from secure_ml_api.api.problems import STATUSES, TITLES
from support.html_page import Page
from support.openapi_sample import PROBLEMS

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(1)> {{ 7*7 }} &amp;"""


def test_every_problem_reason_is_an_anchor_with_its_words(page: Page) -> None:
    for problem in PROBLEMS:
        shown = page.text_of[str(problem["reason"])]
        assert str(problem["title"]) in shown
        assert str(problem["status"]) in shown


def test_the_type_of_every_problem_that_the_server_answers_is_an_anchor() -> None:
    ids = Page(render_docs(build_document((), max_rows=10))).ids
    assert {refusal.reason for refusal in STATUSES} <= set(ids)
    assert {reason for reason, _, _ in TITLES.values()} <= set(ids)


def test_a_reason_that_comes_twice_is_one_anchor(document: dict[str, Any]) -> None:
    document["x-problems"].append({**PROBLEMS[0], "title": "Again", "status": 499})
    assert Page(render_docs(document)).ids.count("malformed_body") == 1


def test_no_two_elements_share_an_anchor(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))


def test_every_link_inside_the_page_leads_somewhere(page: Page) -> None:
    targets = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(page.ids)


def test_every_label_of_another_element_names_one_that_exists(page: Page) -> None:
    named = {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a}
    assert named
    assert named <= set(page.ids)


def test_nothing_is_fetched_and_nothing_runs(page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "style", "srcset"}], tag
        assert attributes.get("href", "#").startswith(("#", "/openapi.json"))
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_the_style_is_the_one_that_the_policy_allows(page: Page) -> None:
    assert [tag for tag, _ in page.elements].count("style") == 1
    assert base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode() == STYLE_SHA256


def test_the_page_begins_with_its_doctype(document: dict[str, Any]) -> None:
    assert render_docs(document).startswith("<!doctype html>")


def test_headings_start_at_one_and_never_skip_a_level(page: Page) -> None:
    levels = page.headings
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_page_has_its_landmarks_and_names_its_language(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert tags.count("main") == 1
    assert "nav" in tags
    assert ("html", {"lang": "en"}) in page.elements


def _hostile(node: Any) -> Any:
    """``node`` with every text in it made hostile, but for the words that carry structure."""
    if isinstance(node, dict):
        return {key: value if key in _STRUCTURE else _hostile(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_hostile(part) for part in node]
    return HOSTILE if isinstance(node, str) else node


_STRUCTURE = {"$ref", "type", "in", "openapi", "reason", "tags", "required"}


def test_hostile_text_anywhere_in_the_document_stays_text(document: dict[str, Any]) -> None:
    html = render_docs(_hostile(document))
    page = Page(html)
    assert not {tag for tag, _ in page.elements} & {"script", "img"}
    assert "<script" not in html
    assert HOSTILE in page.text


def test_hostile_names_of_paths_properties_tags_and_reasons_stay_text() -> None:
    document = {
        "info": {"title": HOSTILE},
        "paths": {
            f"/{HOSTILE}": {
                "get": {
                    "tags": [HOSTILE],
                    "security": [{HOSTILE: [HOSTILE]}],
                    "responses": {
                        HOSTILE: {"content": {HOSTILE: {"schema": {"properties": {HOSTILE: {"type": HOSTILE}}}}}},
                        "200": {"content": {HOSTILE: {"schema": {"properties": {HOSTILE: {"type": HOSTILE}}}}}},
                    },
                }
            }
        },
        "x-problems": [{"reason": HOSTILE, "status": HOSTILE, "title": HOSTILE, "description": HOSTILE}],
    }
    page = Page(render_docs(document))
    assert not {tag for tag, _ in page.elements} & {"script", "img"}
    assert page.text.count("<script>alert(1)</script>") > 8


def test_a_document_with_nothing_in_it_is_a_page_all_the_same() -> None:
    page = Page(render_docs({}))
    assert "Get a token" in page.text
    assert "errors" not in page.ids


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_of_text_stands_out_from_every_ground(page: Page, scheme: str) -> None:
    """WCAG 2.2, success criterion 1.4.3: a contrast of at least 4.5 to 1."""
    light, dark = re.findall(r":root \{(.*?)\}", page.style, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): #([0-9a-f]{6})", light if scheme == "light" else dark))
    for ground in ("ground", "panel", "tint"):
        for text in ("ink", "soft", "link", "good", "caution", "bad"):
            bright, dim = sorted((_luminance(colours[ground]), _luminance(colours[text])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (text, ground)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

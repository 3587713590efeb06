"""The documentation page, read back with a parser as a browser would."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shlex
from html.parser import HTMLParser
from typing import Any

import pytest

from secure_ml_api.api.docs_page import STYLE_SHA256, render_docs
from secure_ml_api.api.openapi import build_document
from secure_ml_api.api.problems import STATUSES, TITLES
from support.openapi_sample import PROBLEMS, sample_document

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(1)> {{ 7*7 }} &amp;"""
_VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})


class Page(HTMLParser):
    """Elements with their attributes, texts by element id, and the nesting, which must be whole."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text_of: dict[str, str] = {}
        self.text = ""
        self.style = ""
        self._open: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag not in _VOID:
            self._open.append((tag, attributes.get("id")))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data: str) -> None:
        if any(tag == "style" for tag, _ in self._open):
            self.style += data
            return
        self.text += data
        for _, anchor in self._open:
            if anchor is not None:
                self.text_of[anchor] = self.text_of.get(anchor, "") + data

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    @property
    def headings(self) -> list[int]:
        return [int(tag[1]) for tag, _ in self.elements if re.fullmatch(r"h[1-6]", tag)]


@pytest.fixture
def document() -> dict[str, Any]:
    return sample_document()


@pytest.fixture
def page(document: dict[str, Any]) -> Page:
    return Page(render_docs(document))


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


def test_operations_stand_under_their_tags_in_the_documents_order(page: Page) -> None:
    assert page.ids.index("tag-predict") < page.ids.index("op-predict") < page.ids.index("tag-health")
    assert "/v1/models/{name}/predict" in page.text_of["op-predict"]


def test_a_tag_without_operations_is_not_shown(document: dict[str, Any]) -> None:
    document["tags"].append({"name": "Nothing"})
    assert "tag-nothing" not in Page(render_docs(document)).ids


def test_scopes_are_told_as_alternatives_and_public_routes_are_called_public(page: Page) -> None:
    assert "Needs a bearer token with predict:NAME or predict:*" in page.text_of["op-predict"]
    assert "Public: needs no token" in page.text_of["op-live"]


def test_references_are_followed_into_parameters_bodies_and_answers(page: Page) -> None:
    shown = page.text_of["op-predict"]
    assert "The model's name." in shown
    assert "instances" in shown
    assert "probabilities" in shown
    assert "$ref" not in page.text


def test_refusals_lead_to_the_entry_that_explains_them(page: Page, document: dict[str, Any]) -> None:
    document["paths"]["/v1/models/{name}/predict"]["post"]["responses"]["429"]["description"] = "Quota exceeded"
    targets = [a["href"] for tag, a in Page(render_docs(document)).elements if tag == "a"]
    assert targets.count("#quota_exceeded") == 2


def test_models_are_shown_with_features_bounds_and_classes(page: Page) -> None:
    iris, loans = page.text_of["model-iris-1"], page.text_of["model-loans-3"]
    assert "sepal length (cm)" in iris
    assert "0 to 30" in iris
    assert "virginica" in iris
    assert "≥ 0" in loans
    assert "house" in loans


def test_a_class_with_a_label_is_shown_with_it(document: dict[str, Any]) -> None:
    document["x-models"][0].update({"classes": [0, 1], "labels": ["malignant", "benign"]})
    assert "0 malignant, 1 benign" in Page(render_docs(document)).text_of["model-iris-1"]


def test_the_request_shown_for_a_model_lies_within_its_bounds(document: dict[str, Any]) -> None:
    document["x-models"] = [
        {
            "name": "narrow",
            "version": "1",
            "features": [
                {"name": "a", "datatype": "FP32", "minimum": 0.001, "maximum": 0.002},
                {"name": "b", "datatype": "INT64", "minimum": 3, "maximum": 4},
                {"name": "c", "datatype": "FP32", "maximum": -5.0},
                {"name": "d", "datatype": "BYTES", "choices": ["x", "y"]},
                {"name": "e", "datatype": "BOOL"},
                {"name": "f", "datatype": "FP32", "minimum": 7.0},
            ],
        }
    ]
    shown = Page(render_docs(document)).text_of["model-narrow-1"]
    (row,) = re.findall(r'\{"features": (\[.*?\])\}', shown)
    a, b, c, d, e, f = json.loads(row)
    assert 0.001 <= a <= 0.002
    assert b in (3, 4)
    assert isinstance(b, int)
    assert c <= -5
    assert d == "x"
    assert e is True
    assert f >= 7


def test_an_example_that_the_document_gives_wins_over_a_made_one(document: dict[str, Any]) -> None:
    document["x-models"][0]["example"] = {"features": [5.1, 3.5, 1.4, 0.2]}
    assert '{"features": [5.1, 3.5, 1.4, 0.2]}' in Page(render_docs(document)).text_of["model-iris-1"]


def test_the_printed_command_survives_a_shell_whatever_the_model_takes(document: dict[str, Any]) -> None:
    document["x-models"] = [
        {
            "name": "o'hara $(id)",
            "version": "1",
            "features": [{"name": "a", "datatype": "BYTES", "choices": ["it's `id` $HOME"]}],
        }
    ]
    text = Page(render_docs(document)).text_of["get-a-token"]
    words = shlex.split(text[text.index('curl -fsS "$BASE"') :].partition("A token holds")[0])
    assert words[2] == "$BASE/v1/models/o'hara $(id)/predict"
    assert json.loads(words[-1]) == {"features": ["it's `id` $HOME"]}


def test_the_commands_name_the_server_that_the_document_names(document: dict[str, Any]) -> None:
    document["servers"] = [{"url": "/"}, {"url": "https://models.example/"}]
    assert "BASE=https://models.example\n" in Page(render_docs(document)).text_of["get-a-token"]


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

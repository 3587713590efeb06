"""What the documentation page tells of routes, refusals and models, and the commands that it prints."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from secure_ml_api.api.docs_page import render_docs
from support.html_page import Page


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

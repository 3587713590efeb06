"""The threat model tells of tests that exist, and of no threat without one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
# A row of a table of threats begins with its letters of STRIDE.
THREATS = [line for line in PAGE.splitlines() if re.match(r"\| [STRIDE](, [STRIDE])* \|", line)]


@cache
def named_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("file", "name"), sorted(set(NODE.findall(PAGE))))
def test_every_test_that_the_threat_model_names_exists(file: str, name: str) -> None:
    assert (ROOT / file).is_file()
    assert name.startswith("test_")
    assert name in named_in(file)


def test_every_threat_is_held_by_a_test() -> None:
    assert len(THREATS) > 40
    assert [line for line in THREATS if not NODE.search(line)] == []


def test_every_mention_of_a_test_is_one_that_is_checked() -> None:
    mentioned = re.findall(r"tests/[\w/]+\.py::", PAGE)
    assert len(mentioned) == len(NODE.findall(PAGE))


@pytest.mark.parametrize("heading", ["The request path", "The model supply chain", "Data flow", "What is left"])
def test_the_threat_model_has_its_parts(heading: str) -> None:
    assert f"## {heading}" in PAGE


def test_every_letter_of_stride_is_met() -> None:
    letters = {letter for line in THREATS for letter in line.split("|")[1].replace(",", " ").split()}
    assert letters == set("STRIDE")


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/threat-model.md"])
def test_links_between_the_pages_lead_somewhere(page: str) -> None:
    place = ROOT / page
    links = re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", place.read_text("utf-8"))
    assert links
    for link in links:
        assert (place.parent / link).exists(), link

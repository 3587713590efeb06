"""Every link in the project's Markdown that names a file, a folder or a heading leads to one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "loadtests", "benchmarks", "deploy", "tests", "src", "examples")
PAGES = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert [link for link in links_of(page) if not leads_somewhere(page, link)] == []


def test_pages_are_found() -> None:
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert names >= {
        "README.md",
        "docs/index.md",
        "docs/tutorials/keras.md",
        "loadtests/README.md",
        "deploy/nginx/README.md",
    }


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("client.md", True),
        ("../loadtests", True),
        ("models.md#canaries", True),
        ("#quick-start", True),
        ("../deploy/gunicorn#tls", True),
        ("nowhere.md", False),
        ("models.md#nowhere", False),
        ("#nowhere", False),
        ("../deploy/gunicorn#nowhere", False),
        ("../../outside", False),
    ],
)
def test_a_link_to_nothing_is_noticed(link: str, leads: bool) -> None:
    assert leads_somewhere(ROOT / "docs" / "quickstart.md", link) is leads


def links_of(page: Path) -> Iterator[str]:
    """The targets of links and pictures that are none on the network."""
    for token in walked(tokens_of(page)):
        target = token.attrGet("href") or token.attrGet("src")
        if isinstance(target, str) and not re.match(r"[a-z][a-z0-9+.-]*:", target):
            yield target


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = unquote(link).partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.is_relative_to(ROOT) or not target.exists():
        return False
    if not anchor:
        return True
    readme = target / "README.md" if target.is_dir() else target
    return readme.suffix == ".md" and anchor in anchors_of(readme)


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """The names of a page's headings, as those who show Markdown make them."""
    tokens = tokens_of(page)
    titles = [tokens[at + 1] for at, token in enumerate(tokens) if token.type == "heading_open"]
    seen: Counter[str] = Counter()
    names = set()
    for title in titles:
        text = "".join(part.content for part in walked([title]) if part.type in ("text", "code_inline"))
        name = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return frozenset(names)


@cache
def tokens_of(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))


def walked(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from walked(token.children or [])

"""Every command and every line of Python on the pages for newcomers and operators does what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.needs import program
from support.pages import PageRun, blocks_of

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (
    "index.md",
    "quickstart.md",
    "operations.md",
    *(f"tutorials/{path.name}" for path in DOCS.glob("tutorials/*.md")),
)


@pytest.mark.timeout(300)  # dozens of programs, one after the other
@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    for name in ("curl", "jq"):
        program(name, name)
    with PageRun(DOCS / page, tmp_path) as run:
        run.all()


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_in_a_language_that_would_not_be_run(page: str) -> None:
    languages = {block.language for block in blocks_of((DOCS / page).read_text("utf-8"))}
    assert languages <= {"bash", "python", "text", "toml", "{toctree}"}

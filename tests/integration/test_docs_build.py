"""The documentation as a site: built as `make docs` builds it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPTIONS = ("-E", "-W", "--keep-going", "-q")
HEAVY = ("torch", "tensorflow", "keras", "sklearn", "onnx", "pandas", "xgboost", "lightgbm")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site; where building it imports a heavy library, it fails."""
    directory = tmp_path_factory.mktemp("site")
    for name in HEAVY:
        (directory / f"{name}.py").write_text("raise ImportError(__name__)\n")
    environ = {**os.environ, "PYTHONPATH": str(directory), "DOCS_SOURCE_URL": "https://source.example/"}
    command = [
        sys.executable,
        "-m",
        "sphinx",
        *OPTIONS,
        "-d",
        str(directory / "doctrees"),
        "docs",
        str(directory / "html"),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return directory / "html"


def test_the_site_is_built_without_a_warning_and_without_heavy_libraries(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if not (site / page).exists()} == set()


def test_make_builds_it_with_the_same_options() -> None:
    assert f"-m sphinx {' '.join(OPTIONS)} " in (ROOT / "Makefile").read_text()


def test_a_link_to_a_page_leads_to_the_page_and_one_to_a_file_to_its_source(site: Path) -> None:
    links = set(re.findall(r'href="([^"]+)"', (site / "overview.html").read_text()))
    assert {"client.html", "security.html", "decisions/index.html"} <= links
    assert {"https://source.example/deploy/nginx", "https://source.example/examples/serve_your_own.py"} <= links


def test_the_python_surface_is_that_of_the_docstrings(site: Path) -> None:
    page = re.sub(r"<[^>]+>", "", (site / "python.html").read_text())
    assert "A batch that is larger than the server takes at once is sent in pieces" in page
    assert "Inherit it under a name that pytest collects" in page


def test_nothing_of_the_site_is_fetched_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r"<(?:script|img|link rel=\"stylesheet\")[^>]*(?:src|href)=\"(?:https?:)?//")
    assert [page.name for page in site.rglob("*.html") if fetched.search(page.read_text())] == []

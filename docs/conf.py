"""How `make docs` builds the site: Sphinx, MyST for Markdown, Furo for its looks."""

from __future__ import annotations

import os
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from secure_ml_api import __version__

ROOT = Path(__file__).resolve().parents[1]
# Files of the repository that pages include: links to them lead to those pages.
INCLUDED = {"README.md": "overview", "SECURITY.md": "security", "CHANGELOG.md": "changelog"}
# Where files are that are no pages. By default the checkout, for which the site must be in reports/docs.
SOURCE_URL = os.environ.get("DOCS_SOURCE_URL", "")

project = "secure-ml-api"
author = "the secure-ml-api authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["substitution"]
myst_heading_anchors = 4
myst_substitutions = {"release": release}
toc_object_entries = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = f"secure-ml-api {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False


class LinksOfTheRepository(SphinxTransform):
    """A link leads where it leads in the file in which it was written: to a page, or to a file that is none."""

    default_priority = 5

    def apply(self) -> None:
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link.get("reftype") == "myst" and link["reftarget"] not in self.env.found_docs:
                # MyST takes Markdown that is no page for a page all the same, named without its ending.
                ending, anchor = (".md", link["reftargetid"]) if link.get("refdomain") == "doc" else ("", None)
                self._lead(link, link["reftarget"] + ending, anchor)
        for link in list(self.document.findall(addnodes.download_reference)):
            self._lead(link, link["reftarget"], None)

    def _lead(self, link: nodes.Element, destination: str, anchor: str | None) -> None:
        written, _, fragment = destination.partition("#")
        anchor = anchor or fragment
        target = (Path(link.source or self.document["source"]).parent / written).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            return  # told by MyST
        within = target.relative_to(ROOT).as_posix()
        page = INCLUDED.get(within) or self._page(target)
        if page is None:
            new = nodes.reference(refuri=self._beside(within) + (f"#{anchor}" if anchor else ""))
        else:
            new = addnodes.pending_xref(
                refdomain="doc", reftarget=page, reftargetid=anchor or None, reftype="myst",
                refdoc=self.env.docname, refexplicit=True,
            )  # fmt: skip
        new += link.children
        link.replace_self(new)

    def _page(self, target: Path) -> str | None:
        page = self.env.path2doc(str(target / "index.md" if target.is_dir() else target))
        return page if page in self.env.found_docs else None

    def _beside(self, within: str) -> str:
        if SOURCE_URL:
            return f"{SOURCE_URL.rstrip('/')}/{within}"
        return f"{'../' * (2 + self.env.docname.count('/'))}{within}"


def setup(app: Sphinx) -> None:
    app.add_transform(LinksOfTheRepository)

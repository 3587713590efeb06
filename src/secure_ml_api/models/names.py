"""Names and versions of models, and the names of files in a package: nothing that a path could abuse."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

ALIASES_FILE = "aliases.json"
LIFE_FILE = "life.json"
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"

_PLAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_RESERVED = {ALIASES_FILE, LIFE_FILE, MANIFEST_FILE, SIGNATURE_FILE}
_CHUNKS = re.compile(r"[0-9]+|[^0-9]+")


def is_plain(text: str) -> bool:
    """Whether ``text`` may name a model, a version or a file of a package.

    Up to 64 of a–z, 0–9, ``.``, ``_`` and ``-``, the first a letter or digit, no two dots in a row, and none of the
    names that the package format keeps for itself.
    """
    return bool(_PLAIN.fullmatch(text)) and ".." not in text and text not in _RESERVED


def _plain(text: str) -> str:
    if not is_plain(text):
        raise ValueError("use up to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit, without '..'")
    return text


PlainName = Annotated[str, AfterValidator(_plain)]


def version_order(version: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """A sort key that reads runs of digits as numbers: 1 < 2 < 10, 1.9 < 1.10; total, so that no two versions tie."""
    chunks = tuple((0, int(chunk), "") if chunk.isdigit() else (1, 0, chunk) for chunk in _CHUNKS.findall(version))
    return chunks, version

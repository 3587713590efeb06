"""Adds to bills of materials (CycloneDX) what the packages say of their licences: ``licences.py BILL...``.

A lock does not know licences; the packages that are installed in this environment do. Of those that are not here, or
here in another version, nothing is said, and their names are printed.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

# Longer ones are the text of the licence, which older packages have in the place of its name.
_LONGEST_NAME = 60


def declared(name: str, version: str) -> list[dict[str, Any]]:
    """What ``name`` declares in CycloneDX's words: an SPDX expression (PEP 639) if it can, names otherwise."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        return []
    if told["Version"] != version:
        return []
    if expression := told.get("License-Expression"):
        return [{"expression": expression, "acknowledgement": "declared"}]
    classifiers = [each for each in told.get_all("Classifier") or () if each.startswith("License :: ")]
    names = [each.rpartition(" :: ")[2] for each in classifiers if each != "License :: OSI Approved"]
    if not names and 0 < len(short := (told.get("License") or "").strip()) <= _LONGEST_NAME and "\n" not in short:
        names = [short]
    return [{"license": {"name": each, "acknowledgement": "declared"}} for each in dict.fromkeys(names)]


def complete(bill: Path) -> list[str]:
    """Write the licences into ``bill``; the names and versions of the packages of which none is known."""
    document = json.loads(bill.read_text("utf-8"))
    unknown = []
    for component in document["components"]:
        if licences := declared(component["name"], component["version"]):
            component["licenses"] = licences
        else:
            unknown.append(f"{component['name']} {component['version']}")
    bill.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return unknown


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        unknown = complete(path)
        sys.stdout.write(f"{path}{', without the licences of ' if unknown else ''}{', '.join(sorted(unknown))}\n")

"""``python -m fuzz.one TARGET [OPTION … DIRECTORY …]``: one target under Atheris, with libFuzzer's own options."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["secure_ml_api", "gunicorn.http", "csv", "json"]):
    from fuzz.targets import TARGETS
from fuzz.mutations import mutate

# The bodies that are text, with a signature before them.
_TEXT = {"rows", "infer", "tensorflow", "csv"}


def main() -> None:
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[name], **({"custom_mutator": mutate} if name in _TEXT else {}))
    atheris.Fuzz()


if __name__ == "__main__":
    main()

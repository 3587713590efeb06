"""Modules that cost seconds to import: tests name them, and only the process that runs those tests imports them."""

from __future__ import annotations

from typing import Any

import pytest


class Lazily:
    """Stands for the module ``name`` until something of it is asked for; a test that does is skipped without it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest looks at everything that a module holds
            raise AttributeError(attribute)
        return getattr(pytest.importorskip(self._name), attribute)

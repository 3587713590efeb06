"""Modules that cost seconds to import: tests name them, and only the process that runs those tests imports them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .needs import miss


class Lazily:
    """Stands for the module ``name`` until something of it is asked for.

    Without the module, a test that does is skipped, or fails where CI=true.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest looks at everything that a module holds
            raise AttributeError(attribute)
        try:
            module = import_module(self._name)
        except ImportError as error:
            miss(f"{self._name} cannot be imported: {error}")
        return getattr(module, attribute)

"""Frameworks that are imported when a model first needs them, and stay."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


class RelievedFirst(Exception):
    """A package is for a worker that does not serve yet: loading it here would hold up callers."""


def framework_of(runtime: object) -> str | None:
    """The module that ``runtime`` names as its framework, if it does and that is installed."""
    name: str | None = getattr(runtime, "framework", None)
    return name if name is not None and find_spec(name.partition(".")[0]) is not None else None


_frozen = [0]


def times_frozen() -> int:
    """How often all that there was has been kept from being looked through for garbage."""
    return _frozen[0]


@contextmanager
def for_good() -> Iterator[None]:
    """What is imported meanwhile is not looked through for garbage again, as it stays for the life of the process.

    That is a quarter of a million objects of scikit-learn's and as many of TensorFlow's, some 150 ms each in which
    nobody else is answered, whenever a model goes. Nor is garbage looked for meanwhile, which takes a fifth of an
    import.
    """
    modules, was_enabled = len(sys.modules), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > modules:
            gc.freeze()
            _frozen[0] += 1
        if was_enabled:
            gc.enable()

"""Frameworks that are imported when a model first needs them, and stay."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
        if was_enabled:
            gc.enable()

"""The libraries of the extra ``train``, asked for in one place, and kept from talking."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from ..errors import PackingError

LIBRARIES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy")
# Module → its distributions, named where the model is of that library.
_FURTHER = {
    "xgboost": ("xgboost", "xgboost-cpu"),
    "lightgbm": ("lightgbm",),
    "onnxmltools": ("onnxmltools",),
    "torch": ("torch",),
    "keras": ("keras",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "tf2onnx": ("tf2onnx",),
}
_NEEDED = ("sklearn", "skl2onnx", "onnx", "skops")


def require_train_extra() -> None:
    """Raises PackingError with the command to run when a library that packing needs is missing."""
    for module in _NEEDED:
        # Looked for without an import: a server that starts in this process has no use for what they would start.
        if find_spec(module) is None:
            raise PackingError(f"packing needs {module}; run `pip install 'secure-ml-api[train]'`")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that take part in a conversion, by distribution name."""
    found = {}
    further = [name for module, names in _FURTHER.items() if module in sys.modules for name in names]
    for library in (*LIBRARIES, *further):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def threads_kept() -> Iterator[None]:
    """PyTorch works with as many threads afterwards as before, however a network is measured meanwhile."""
    torch = sys.modules.get("torch")
    threads = None if torch is None else torch.get_num_threads()
    try:
        yield
    finally:
        if torch is not None:
            torch.set_num_threads(threads)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the training libraries' warnings and log lines out of what our own users read."""
    chatty = [logging.getLogger(name) for name in ("skl2onnx", "sklearn", "onnx", "onnxmltools")]
    levels = [logger.level for logger in chatty]
    try:
        for logger in chatty:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(chatty, levels, strict=True):
            logger.setLevel(level)

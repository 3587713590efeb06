"""What serves a model without a graph: counted words, or, when the person who packs it agrees, its own library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ..runtimes.lightgbm import TREES_FILE, open_lightgbm
from ..runtimes.onnx import MODEL_FILE, open_graph
from ..runtimes.protocol import Session
from ..runtimes.sklearn import ESTIMATOR_FILE, open_estimator
from ..runtimes.skops_files import skops_io
from ..runtimes.tensorflow import ARCHIVE_FILE, open_saved_model
from ..runtimes.torch import WEIGHTS_FILE, Design, open_network
from ..runtimes.words import WORDS_FILE, open_words
from ..runtimes.xgboost import BOOSTER_FILE, open_xgboost
from ..tensors import Signature
from .boosting import is_lightgbm, is_xgboost, lightgbm_trees, xgboost_trees
from .candidates import Datatype
from .networks.network import NetworkEstimator
from .options import Options
from .words import reads_words, words_table

RuntimeName = Literal["onnx", "sklearn", "xgboost", "lightgbm", "words", "torch", "tensorflow"]

# What the model's file is called in a package of each runtime.
MODEL_FILES: dict[RuntimeName, str] = {
    "onnx": MODEL_FILE,
    "sklearn": ESTIMATOR_FILE,
    "xgboost": BOOSTER_FILE,
    "lightgbm": TREES_FILE,
    "words": WORDS_FILE,
    "torch": WEIGHTS_FILE,
    "tensorflow": ARCHIVE_FILE,
}


def _open_torch(model: bytes, signature: Signature) -> Session:
    """Whoever packs a network has named its architecture."""
    return open_network(model, signature, frozenset({Design.of(model).architecture}))


_OPENERS: dict[RuntimeName, Callable[[bytes, Signature], Session]] = {
    "onnx": open_graph,
    "sklearn": open_estimator,
    "xgboost": open_xgboost,
    "lightgbm": open_lightgbm,
    "words": open_words,
    "torch": _open_torch,
    "tensorflow": open_saved_model,
}


@dataclass(frozen=True, slots=True)
class Native:
    """The trained model as it is: ``write`` gives its bytes in the format of ``runtime``, which takes ``datatype``."""

    name: str
    runtime: RuntimeName
    datatype: Datatype
    write: Callable[[Any], bytes]


def natives(estimator: Any, options: Options) -> list[Native]:
    """What may serve ``estimator`` without a graph, by what was agreed to."""
    if isinstance(estimator, NetworkEstimator):
        network = estimator.network
        write = partial(network.native, estimator.n_features_in_, estimator.gives)
        runtime = network.runtime
        return [Native(f"{network.library} itself", runtime, "FP32", lambda _: write())] if options.allow_native else []
    if options.allow_native and is_xgboost(estimator):
        # XGBoost itself makes float32 of whatever it is given.
        return [Native("XGBoost itself", "xgboost", "FP32", xgboost_trees)]
    if options.allow_native and is_lightgbm(estimator):
        return [Native("LightGBM itself", "lightgbm", "FP64", lightgbm_trees)]
    # Counted words are served by NumPy, which is there anyway, so no one has to agree to that.
    found = [Native("counted words", "words", "FP32", words_table)] if reads_words(estimator) else []
    if options.allow_native:
        found.append(Native("scikit-learn itself", "sklearn", "FP64", _skops))
    return found


def open_model(runtime: RuntimeName, model: bytes, signature: Signature) -> Session:
    """A session on ``model`` as a server would open it; raises PackageRefused."""
    return _OPENERS[runtime](model, signature)


def _skops(estimator: Any) -> bytes:
    data: bytes = skops_io().dumps(estimator)
    return data

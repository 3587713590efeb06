"""Keras models: run eagerly, written as ONNX layer by layer, and kept as a SavedModel."""

from __future__ import annotations

import io
import math
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PackingError
from ...runtimes.scores import Gives
from ...runtimes.tensorflow import GIVES_MEMBER
from ..table import Array
from .keras_graph import keras_graph
from .network import GraphForm, NativeRuntime
from .tensorflow_graph import tensorflow_graph
from .traits import kinds_of


class KerasNetwork:
    """``model``, a built Keras model of one output, as it predicts; a row is what its inputs take, one after the other.

    Raises PackingError for a model that was not built, that gives several outputs, or that takes rows of any size.
    """

    library = "TensorFlow"
    runtime: NativeRuntime = "tensorflow"

    def __init__(self, model: Any) -> None:
        self.kind = type(model).__name__
        self._model = model
        if not getattr(model, "inputs", None) or len(model.outputs) != 1:
            raise PackingError(f"{self.kind} has to be built, with one output; call it on rows once, and name one")
        shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
        if any(size is None for shape in shapes for size in shape):
            raise PackingError(f"{self.kind} takes rows of any size; build it for rows of one size, keras.Input((6,))")
        self._shapes = [tuple(int(size) for size in shape) for shape in shapes]
        self._ends = np.cumsum([math.prod(shape) for shape in self._shapes]).tolist()

    def outputs(self, rows: Array) -> Array:
        given: Array = self._called(rows).numpy()
        return given

    def graphs(self) -> tuple[GraphForm, ...]:
        return (
            GraphForm("layer by layer", lambda features: keras_graph(self._model, features)),
            GraphForm("tf2onnx", lambda features: tensorflow_graph(self._called, features)),
        )

    def traits(self) -> dict[str, Any]:
        """Its layers, those of models inside it too, and the count of its weights."""
        return {**kinds_of(_layers(self._model)), "weights": self._model.count_params()}

    def native(self, features: int, gives: Gives) -> bytes:
        import tensorflow

        spec = tensorflow.TensorSpec([None, features], tensorflow.float32)
        module = tensorflow.Module()
        module.model = self._model
        module.serve = tensorflow.function(self._called, input_signature=[spec])
        with tempfile.TemporaryDirectory(prefix="secure-ml-api-") as place:
            tensorflow.saved_model.save(module, place, signatures={"serve": module.serve})
            return archived(Path(place), gives)

    def _called(self, rows: Any) -> Any:
        """What the model gives for flat ``rows``, an array or a tensor."""
        import tensorflow

        starts = [0, *self._ends]
        if rows.shape[1] != self._ends[-1]:
            raise ValueError(f"the model takes rows of {self._ends[-1]} numbers")
        parts = [
            tensorflow.reshape(rows[:, start:end], [-1, *shape])
            for start, end, shape in zip(starts, self._ends, self._shapes, strict=False)
        ]
        return self._model(parts if len(parts) > 1 else parts[0], training=False)


def _layers(model: Any) -> Iterator[Any]:
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer


def archived(directory: Path, gives: Gives) -> bytes:
    """The files below ``directory`` in one archive, the same bytes for the same files."""
    buffer = io.BytesIO()
    files = {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    files[GIVES_MEMBER] = gives.encode()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o400
            archive.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()

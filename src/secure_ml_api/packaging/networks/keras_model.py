"""Keras models: run eagerly, written as ONNX layer by layer, and kept as a SavedModel."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ...runtimes.scores import Gives
from ...runtimes.tensorflow import GIVES_MEMBER
from ..table import Array
from .keras_graph import keras_graph
from .network import NativeRuntime


class KerasNetwork:
    """``model``, a built Keras model of one input and one output, as it predicts."""

    graph_name = "layer by layer"
    library = "TensorFlow"
    runtime: NativeRuntime = "tensorflow"

    def __init__(self, model: Any) -> None:
        self.kind = type(model).__name__
        self._model = model
        self._row_shape = tuple(int(size) for size in model.inputs[0].shape[1:])

    def outputs(self, rows: Array) -> Array:
        given: Array = self._model(self._shaped(rows), training=False).numpy()
        return given

    def graph(self, features: int) -> Any:
        return keras_graph(self._model, features)

    def native(self, features: int, gives: Gives) -> bytes:
        import tensorflow

        spec = tensorflow.TensorSpec([None, features], tensorflow.float32)
        module = tensorflow.Module()
        module.model = self._model
        shape = [-1, *self._row_shape]
        module.serve = tensorflow.function(
            lambda rows: self._model(tensorflow.reshape(rows, shape), training=False), input_signature=[spec]
        )
        with tempfile.TemporaryDirectory(prefix="secure-ml-api-") as place:
            tensorflow.saved_model.save(module, place, signatures={"serve": module.serve})
            return archived(Path(place), gives)

    def _shaped(self, rows: Array) -> Array:
        return rows.reshape(len(rows), *self._row_shape)


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

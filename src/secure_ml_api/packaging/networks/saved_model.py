"""TensorFlow SavedModels as they were exported: folders with a graph of operators and the values of its variables.

A graph is code for TensorFlow, and reading one may run parts of it. So the operators are looked at first, in the bytes
of the file, and nothing is read that holds one that does more than compute.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from ...errors import PackingError
from ...runtimes.scores import Gives
from ...runtimes.tensorflow_ops import operators_of, unknown_operators
from ..table import Array
from .keras_model import archived
from .network import GraphForm, NativeRuntime
from .tensorflow_graph import tensorflow_graph

GRAPH_FILE = "saved_model.pb"
_SIGNATURE = "serving_default"


class SavedModelNetwork:
    """The signature ``serving_default`` of the SavedModel in ``directory``: one float32 tensor in, one out.

    Raises PackingError for a folder that holds another, or operators that are not trusted.
    """

    library = "TensorFlow"
    runtime: NativeRuntime = "tensorflow"

    def __init__(self, directory: Path) -> None:
        import tensorflow

        self.kind = "SavedModel"
        unknown = unknown_operators(operators_of((directory / GRAPH_FILE).read_bytes()))
        if unknown:
            raise PackingError(f"{directory.name} holds operators that are not trusted: {', '.join(unknown[:5])}")
        loaded = tensorflow.saved_model.load(str(directory))
        if _SIGNATURE not in loaded.signatures:
            raise PackingError(f"{directory.name} has no signature {_SIGNATURE}; export the model with one")
        serve = loaded.signatures[_SIGNATURE]
        inputs, outputs = serve.structured_input_signature[1], serve.structured_outputs
        if len(inputs) != 1 or len(outputs) != 1 or next(iter(inputs.values())).dtype != tensorflow.float32:
            told = f"{len(inputs)} tensors to {len(outputs)}"
            raise PackingError(f"the signature {_SIGNATURE} takes {told}; one float32 tensor to one can be packed")
        (self._name, taken), (self._gives, _) = next(iter(inputs.items())), next(iter(outputs.items()))
        self._row_shape = tuple(-1 if size is None else int(size) for size in taken.shape[1:])
        self._loaded, self._serve = loaded, serve  # the first keeps the variables alive

    def outputs(self, rows: Array) -> Array:
        given: Array = self._called(rows).numpy()
        return given

    def graphs(self) -> tuple[GraphForm, ...]:
        """What is left of the model are operators, and none of its layers."""
        return (GraphForm("tf2onnx", lambda features: tensorflow_graph(self._called, features)),)

    def traits(self) -> dict[str, Any]:
        """The count of its weights; of its layers nothing is left."""
        return {"weights": sum(math.prod(each.shape) for each in self._serve.variables if each.dtype.is_floating)}

    def native(self, features: int, gives: Gives) -> bytes:
        import tensorflow

        spec = tensorflow.TensorSpec([None, features], tensorflow.float32)
        module = tensorflow.Module()
        module.model = self._loaded
        module.serve = tensorflow.function(self._called, input_signature=[spec])
        with tempfile.TemporaryDirectory(prefix="secure-ml-api-") as place:
            tensorflow.saved_model.save(module, place, signatures={"serve": module.serve})
            return archived(Path(place), gives)

    def _called(self, rows: Any) -> Any:
        """What the signature gives for flat ``rows``, an array or a tensor."""
        import tensorflow

        given = tensorflow.convert_to_tensor(rows)
        if len(self._row_shape) != 1:
            given = tensorflow.reshape(given, [-1, *self._row_shape])
        return self._serve(**{self._name: given})[self._gives]

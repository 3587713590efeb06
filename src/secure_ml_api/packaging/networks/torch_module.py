"""PyTorch modules: run eagerly, exported to ONNX, and kept as weights for an architecture that the server knows."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...runtimes.scores import Gives
from ...runtimes.torch import Design
from ..graphs.writer import Inapplicable
from ..table import Array
from .network import GraphForm, NativeRuntime
from .traits import kinds_of

_OPSET = 18
_PROGRAM = "ExportedProgram"  # which has operators in place of layers
# How the tracer warns of a number that left the graph for Python, where a constant takes its place.
_LEFT_THE_GRAPH = "Converting a tensor to a "
_BOOLEAN = f"{_LEFT_THE_GRAPH}Python boolean"


class TorchNetwork:
    """``module`` itself, no copy: it is moved to the CPU and put into evaluation mode, and stays there.

    ``architecture`` names the entry point that builds it, from the keyword arguments ``parameters``, where it may be
    served by PyTorch itself. ``row_shape`` is what one row of features becomes before the module sees it.
    """

    library = "PyTorch"
    runtime: NativeRuntime = "torch"

    def __init__(
        self,
        module: Any,
        *,
        row_shape: tuple[int, ...] = (),
        architecture: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.kind = type(module).__name__
        self._module = module.cpu().eval()
        self._row_shape = row_shape
        self._architecture = architecture
        self._parameters = dict(parameters or {})

    def outputs(self, rows: Array) -> Array:
        import torch

        with torch.inference_mode():
            given: Array = self._module(torch.from_numpy(self._shaped(rows))).numpy()
        return given

    def graphs(self) -> tuple[GraphForm, ...]:
        return (GraphForm("torch exporter", self.graph),)

    def graph(self, features: int) -> Any:
        """By the exporter that traces: the module's operators for rows of any number.

        Raises Inapplicable, also for a module that decides by its data: the trace would hold one of the branches.
        """
        import onnx
        import torch

        example = torch.from_numpy(self._shaped(np.zeros((2, features), dtype=np.float32)))
        try:
            with tempfile.TemporaryDirectory(prefix="secure-ml-api-") as place, _conversions() as conversions:
                written = Path(place) / "network.onnx"
                torch.onnx.export(
                    self._module,
                    (example,),
                    written,
                    input_names=["given"],
                    output_names=["scores"],
                    dynamic_axes={"given": {0: "rows"}, "scores": {0: "rows"}},
                    opset_version=_OPSET,
                    dynamo=False,
                )
                model = onnx.load(written)
        except Exception as error:
            raise Inapplicable(f"{self.kind} has no ONNX form: {' '.join(str(error).split())[:150]}") from error
        if conversions and not self._decides_by_shapes_alone(conversions, example):
            first = conversions[0]
            where = f"{Path(first.filename).name} line {first.lineno}"
            said = str(first.message).removeprefix(_LEFT_THE_GRAPH).split(" might ")[0]
            raise Inapplicable(f"{self.kind} makes a {said} of its data ({where}), which no graph can follow")
        return with_row_shape(model, features, self._row_shape)

    def traits(self) -> dict[str, Any]:
        """Its layers, the count of its weights, and the architecture with what that is built from."""
        named = {} if self._architecture is None else {"architecture": self._architecture}
        built_from = {f"architecture__{key}": value for key, value in self._parameters.items()}
        leaves = [each for each in self._module.modules() if next(each.children(), None) is None]
        layers = [] if self.kind == _PROGRAM else leaves
        weights = sum(tensor.numel() for tensor in self._module.parameters())
        return {**kinds_of(layers), "weights": weights, **named, **built_from}

    def native(self, features: int, gives: Gives) -> bytes:
        from safetensors.torch import save

        if self._architecture is None:
            raise Inapplicable("the module's architecture is not named")
        design = Design(self._architecture, self._parameters, self._row_shape, gives)
        weights = {name: tensor.contiguous() for name, tensor in self._module.state_dict().items()}
        data: bytes = save(weights, metadata=design.as_metadata())
        return data

    def _decides_by_shapes_alone(self, conversions: list[warnings.WarningMessage], example: Any) -> bool:
        """Whether all that was decided are shapes, such as in a check of the features: by PyTorch's other exporter."""
        import torch

        if not all(str(conversion.message).startswith(_BOOLEAN) for conversion in conversions):
            return False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.export.export(self._module, (example,), dynamic_shapes=({0: torch.export.Dim("rows")},))
        except Exception:  # noqa: BLE001 - whatever it cannot export was not shown to be harmless
            return False
        return True

    def _shaped(self, rows: Array) -> Array:
        return rows.reshape(len(rows), *self._row_shape) if self._row_shape else rows


@contextmanager
def _conversions() -> Iterator[list[warnings.WarningMessage]]:
    """Collects what the tracer says of values that left the graph, except in PyTorch itself, and nothing else."""
    from torch.jit._trace import TracerWarning

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", _LEFT_THE_GRAPH, TracerWarning)
        warnings.filterwarnings("ignore", category=TracerWarning, module=r"torch\.(?!jit)")
        yield said


def with_row_shape(model: Any, features: int, row_shape: tuple[int, ...]) -> Any:
    """``model`` with a flat input [rows, features] in front of one of ``row_shape``."""
    from onnx import TensorProto, helper

    if not row_shape:
        return model
    graph, inner = model.graph, model.graph.input[0].name
    shape = helper.make_tensor("row_shape", TensorProto.INT64, [1 + len(row_shape)], [-1, *row_shape])
    node = helper.make_node("Reshape", ["flat_rows", "row_shape"], [inner])
    flat = helper.make_tensor_value_info("flat_rows", TensorProto.FLOAT, ["rows", features])
    made = helper.make_graph([node, *graph.node], graph.name, [flat], list(graph.output), [*graph.initializer, shape])
    return helper.make_model(made, opset_imports=list(model.opset_import), ir_version=model.ir_version)

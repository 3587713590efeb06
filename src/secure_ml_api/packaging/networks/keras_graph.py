"""A chain of Keras layers as an ONNX graph: dense and convolutional networks, each layer by the operator that it is.

Other networks have no such form here; the proof on rows tells whether what was written answers as the model does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..graphs.writer import Inapplicable
from ..table import Array

_OPSET = 18
_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "elu": "Elu", "softplus": "Softplus"}
# Layers that change nothing when a network predicts.
_SILENT = {"InputLayer", "Dropout", "GaussianNoise", "GaussianDropout", "SpatialDropout2D", "ActivityRegularization"}


def keras_graph(model: Any, features: int) -> Any:
    """``model`` as an ONNX ModelProto: float32 [rows, features] → float32 [rows, …]. Raises Inapplicable."""
    from onnx import TensorProto, helper

    graph = _Graph(tuple(int(size) for size in model.inputs[0].shape[1:]))
    for layer in _chain(model):
        graph.add(layer)
    width = int(np.prod([int(size) for size in model.outputs[0].shape[1:]]))
    made = helper.make_graph(
        graph.nodes,
        "keras",
        [helper.make_tensor_value_info("given", TensorProto.FLOAT, ["rows", features])],
        [helper.make_tensor_value_info(graph.current, TensorProto.FLOAT, ["rows", width])],
        graph.constants,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)


def _chain(model: Any) -> list[Any]:
    """The layers one after the other, those of models inside included."""
    layers: list[Any] = []
    for layer in _in_order(model):
        layers += _chain(layer) if hasattr(layer, "layers") else [layer]
    return layers


def _in_order(model: Any) -> list[Any]:
    if type(model).__name__ == "Sequential":
        return list(model.layers)
    by_depth: dict[int, list[Any]] = getattr(model, "_nodes_by_depth", {})  # Keras has no other way to ask
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    if len(nodes) != len(by_depth) or not nodes or any(len(node.input_tensors) > 1 for node in nodes):
        raise Inapplicable(f"the layers of {model.name} are no chain")
    return [node.operation for node in nodes]


class _Graph:
    """The nodes so far; ``current`` is the name of what the last one gives, channels last as Keras has them."""

    def __init__(self, row_shape: tuple[int, ...]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.current = "given"
        self._node("Reshape", self._constant(np.array([-1, *row_shape], dtype=np.int64)))

    def add(self, layer: Any) -> None:
        kind = type(layer).__name__
        if kind in _SILENT:
            return
        write = _LAYERS.get(kind)
        if write is None:
            raise Inapplicable(f"no graph is written for the layer {kind}")
        write(self, layer)
        self._activation(getattr(layer, "activation", None))

    def dense(self, layer: Any) -> None:
        self._node("MatMul", self._constant(layer.kernel))
        if layer.use_bias:
            self._node("Add", self._constant(layer.bias))

    def convolution(self, layer: Any) -> None:
        if layer.padding not in ("same", "valid"):
            raise Inapplicable(f"no graph is written for the padding {layer.padding!r}")
        kernel = np.transpose(np.asarray(layer.kernel), (3, 2, 0, 1))
        inputs = [self._constant(kernel)] + ([self._constant(layer.bias)] if layer.use_bias else [])
        self._channels_first(
            "Conv",
            *inputs,
            strides=list(layer.strides),
            dilations=list(layer.dilation_rate),
            group=layer.groups,
            auto_pad="SAME_UPPER" if layer.padding == "same" else "VALID",
        )

    def pooling(self, layer: Any) -> None:
        operator = "MaxPool" if type(layer).__name__.startswith("Max") else "AveragePool"
        self._channels_first(
            operator,
            kernel_shape=list(layer.pool_size),
            strides=list(layer.strides),
            auto_pad="SAME_UPPER" if layer.padding == "same" else "VALID",
        )

    def global_average(self, layer: Any) -> None:
        axes = self._constant(np.array([1, 2], dtype=np.int64))
        self._node("ReduceMean", axes, keepdims=int(layer.keepdims))

    def normalisation(self, layer: Any) -> None:
        """With the statistics of the training, as a factor and a summand (S. Ioffe, C. Szegedy, 2015)."""
        gamma = np.asarray(layer.gamma) if layer.scale else np.float32(1)
        beta = np.asarray(layer.beta) if layer.center else np.float32(0)
        factor = gamma / np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)
        self._node("Mul", self._constant(factor))
        self._node("Add", self._constant(beta - np.asarray(layer.moving_mean) * factor))

    def rescaling(self, layer: Any) -> None:
        self._node("Mul", self._constant(np.float32(layer.scale)))
        self._node("Add", self._constant(np.float32(layer.offset)))

    def reshape(self, layer: Any) -> None:
        shape = [int(size) for size in layer.output.shape[1:]]
        self._node("Reshape", self._constant(np.array([-1, *shape], dtype=np.int64)))

    def relu(self, layer: Any) -> None:
        if layer.max_value is not None or layer.negative_slope or layer.threshold:
            raise Inapplicable("no graph is written for this kind of ReLU")
        self._node("Relu")

    def softmax(self, layer: Any) -> None:
        self._node("Softmax", axis=layer.axis)

    def nothing(self, layer: Any) -> None:
        """The activation is all there is."""

    def _activation(self, function: Any) -> None:
        name = getattr(function, "__name__", None)
        if function is None or name == "linear":
            return
        if name == "softmax":
            self._node("Softmax", axis=-1)
        elif name in _ACTIVATIONS:
            self._node(_ACTIVATIONS[name])
        else:
            raise Inapplicable(f"no graph is written for the activation {name!r}")

    def _channels_first(self, operator: str, *inputs: str, **attributes: Any) -> None:
        self._node("Transpose", perm=[0, 3, 1, 2])
        self._node(operator, *inputs, **attributes)
        self._node("Transpose", perm=[0, 2, 3, 1])

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> None:
        from onnx import helper

        output = f"step{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [self.current, *inputs], [output], **attributes))
        self.current = output

    def _constant(self, values: Any) -> str:
        from onnx import numpy_helper

        name = f"constant{len(self.constants)}"
        array: Array = np.asarray(values)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


_LAYERS: dict[str, Callable[[_Graph, Any], None]] = {
    "Activation": _Graph.nothing,
    "AveragePooling2D": _Graph.pooling,
    "BatchNormalization": _Graph.normalisation,
    "Conv2D": _Graph.convolution,
    "Dense": _Graph.dense,
    "Flatten": _Graph.reshape,
    "GlobalAveragePooling2D": _Graph.global_average,
    "MaxPooling2D": _Graph.pooling,
    "ReLU": _Graph.relu,
    "Rescaling": _Graph.rescaling,
    "Reshape": _Graph.reshape,
    "Softmax": _Graph.softmax,
}

"""The layers of Keras that have a form in ONNX, each as a few nodes; channels come last, as Keras has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..graphs.writer import Inapplicable
from .keras_activations import activation
from .keras_windows import WINDOWED
from .nodes import Call, Nodes, Sizes

# Layers that change nothing when a network predicts.
_SILENT = frozenset(
    """
    ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise Identity SpatialDropout1D
    SpatialDropout2D SpatialDropout3D
    """.split()  # noqa: SIM905 - names are read as words
)
_MERGED = {"Add": "Sum", "Average": "Mean", "Maximum": "Max", "Minimum": "Min", "Multiply": "Mul", "Subtract": "Sub"}


def write_layer(nodes: Nodes, layer: Any, given: Sequence[str], shapes: Sequence[Sizes], gives: Sizes) -> str:
    """The name of what ``layer`` gives, its activation included; raises Inapplicable with the name of the layer."""
    kind, call = type(layer).__name__, Call(nodes, layer, given, shapes, gives)
    if not type(layer).__module__.startswith("keras."):
        raise Inapplicable(f"no graph is written for the layer {kind}, which is code of its own")
    if getattr(layer, "data_format", None) == "channels_first":
        raise Inapplicable(f"no graph is written for the layer {kind} with the channels first")
    if kind in _MERGED or kind == "Concatenate":
        return _merge(call)
    if len(given) != 1:
        raise Inapplicable(f"no graph is written for the layer {kind} with {len(given)} inputs")
    if kind in _SILENT:
        return given[0]
    if kind not in _LAYERS:
        raise Inapplicable(f"no graph is written for the layer {kind}")
    return activation(nodes, _LAYERS[kind](call), getattr(layer, "activation", None))


def _merge(call: Call) -> str:
    kind = type(call.layer).__name__
    if len({len(shape) for shape in call.shapes}) > 1:
        raise Inapplicable(f"no graph is written for the layer {kind} of tensors of different ranks")
    if kind == "Concatenate":
        return call.nodes.add("Concat", *call.given, axis=call.layer.axis)
    if kind != "Multiply":
        return call.nodes.add(_MERGED[kind], *call.given)
    product, *others = call.given
    for other in others:
        product = call.nodes.add("Mul", product, other)
    return product


def _dense(call: Call) -> str:
    product = call.nodes.add("MatMul", call.given[0], call.nodes.constant(call.layer.kernel))
    return call.nodes.add("Add", product, call.nodes.constant(call.layer.bias)) if call.layer.use_bias else product


def _embedding(call: Call) -> str:
    if call.layer.mask_zero:
        raise Inapplicable("no graph is written for the layer Embedding that masks zeros")
    rows = call.nodes.add("Cast", call.given[0], to=7)  # INT64
    return call.nodes.add("Gather", call.nodes.constant(call.layer.embeddings), rows, axis=0)


def _batch_normalisation(call: Call) -> str:
    """With the statistics of the training, as a factor and a summand (S. Ioffe, C. Szegedy, 2015)."""
    layer, rank = call.layer, len(call.shapes[0]) + 1
    gamma = np.asarray(layer.gamma) if layer.scale else np.float32(1)
    beta = np.asarray(layer.beta) if layer.center else np.float32(0)
    factor = np.asarray(gamma / np.sqrt(np.asarray(layer.moving_variance) + np.float32(layer.epsilon)))
    summand = np.asarray(beta - np.asarray(layer.moving_mean) * factor)
    shape = [1] * rank
    shape[layer.axis] = -1
    scaled = call.nodes.add("Mul", call.given[0], call.nodes.constant(factor.reshape(shape)))
    return call.nodes.add("Add", scaled, call.nodes.constant(summand.reshape(shape)))


def _layer_normalisation(call: Call) -> str:
    layer, rank = call.layer, len(call.shapes[0]) + 1
    axes = sorted(axis % rank for axis in (layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]))
    if axes != list(range(axes[0], rank)):
        raise Inapplicable("no graph is written for the layer LayerNormalization over axes that are not the last")
    sizes = [call.shapes[0][axis - 1] or 1 for axis in axes]
    scale = np.asarray(layer.gamma) if layer.scale else np.ones(sizes, dtype=np.float32)
    given = [call.given[0], call.nodes.constant(scale)]
    if layer.center:
        given.append(call.nodes.constant(layer.beta))
    return call.nodes.add("LayerNormalization", *given, axis=axes[0], epsilon=float(layer.epsilon))


def _normalization(call: Call) -> str:
    """By the mean and the variance that the layer saw in the data, or was told."""
    layer = call.layer
    if layer.invert:
        raise Inapplicable("no graph is written for the layer Normalization that is inverted")
    deviation = np.maximum(np.sqrt(np.asarray(layer.variance)), np.float32(1e-7))  # Keras's own smallest divisor
    moved = call.nodes.add("Sub", call.given[0], call.nodes.constant(layer.mean))
    return call.nodes.add("Div", moved, call.nodes.constant(deviation))


def _rescaling(call: Call) -> str:
    scale, offset = (np.asarray(each, dtype=np.float32) for each in (call.layer.scale, call.layer.offset))
    scaled = call.nodes.add("Mul", call.given[0], call.nodes.constant(scale))
    return call.nodes.add("Add", scaled, call.nodes.constant(offset))


def _reshape(call: Call) -> str:
    """Flatten, too: both give rows of the sizes that they say."""
    if None in call.gives:
        raise Inapplicable(f"no graph is written for the layer {type(call.layer).__name__} of rows of any size")
    return call.nodes.add("Reshape", call.given[0], call.nodes.integers(-1, *(size or 0 for size in call.gives)))


def _permute(call: Call) -> str:
    return call.nodes.add("Transpose", call.given[0], perm=[0, *call.layer.dims])


def _repeat_vector(call: Call) -> str:
    once = call.nodes.add("Unsqueeze", call.given[0], call.nodes.integers(1))
    return call.nodes.add("Tile", once, call.nodes.integers(1, call.layer.n, 1))


def _zero_padding(call: Call) -> str:
    pads = call.layer.padding if isinstance(call.layer.padding[0], list | tuple) else (call.layer.padding,)
    first, last = ([int(side[place]) for side in pads] for place in (0, 1))
    return call.nodes.add("Pad", call.given[0], call.nodes.integers(0, *first, 0, 0, *last, 0))


def _relu(call: Call) -> str:
    layer = call.layer
    if layer.threshold:
        raise Inapplicable("no graph is written for the layer ReLU with a threshold")
    slope = float(layer.negative_slope)
    raised = call.nodes.add("LeakyRelu", call.given[0], alpha=slope) if slope else None
    if layer.max_value is None:
        return raised or call.nodes.add("Relu", call.given[0])
    if raised is not None:
        return call.nodes.add("Min", raised, call.nodes.number(layer.max_value))
    return call.nodes.add("Clip", call.given[0], call.nodes.number(0), call.nodes.number(layer.max_value))


def _softmax(call: Call) -> str:
    if not isinstance(call.layer.axis, int):
        raise Inapplicable("no graph is written for the layer Softmax over several axes")
    return call.nodes.add("Softmax", call.given[0], axis=call.layer.axis)


_LAYERS: dict[str, Callable[[Call], str]] = {
    "Activation": lambda call: call.given[0],
    "BatchNormalization": _batch_normalisation,
    "Dense": _dense,
    "ELU": lambda call: call.nodes.add("Elu", call.given[0], alpha=float(call.layer.alpha)),
    "Embedding": _embedding,
    "Flatten": _reshape,
    "LayerNormalization": _layer_normalisation,
    "LeakyReLU": lambda call: call.nodes.add("LeakyRelu", call.given[0], alpha=float(call.layer.negative_slope)),
    "Normalization": _normalization,
    "PReLU": lambda call: call.nodes.add("PRelu", call.given[0], call.nodes.constant(call.layer.alpha)),
    "Permute": _permute,
    "ReLU": _relu,
    "RepeatVector": _repeat_vector,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Softmax": _softmax,
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"), _zero_padding),
    **WINDOWED,
}

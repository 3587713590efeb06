"""The layers of Keras that look through a window: convolutions and pooling, whose operators want the channels first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..table import Array
from .nodes import Call


def _convolution(call: Call) -> str:
    kernel = np.asarray(call.layer.kernel)
    return _convolved(call, np.moveaxis(kernel, (-1, -2), (0, 1)), call.layer.groups, call.layer.use_bias)


def _depthwise(call: Call) -> str:
    return _convolved(call, *_each_channel(call.layer.kernel), call.layer.use_bias)


def _separable(call: Call) -> str:
    layer = call.layer
    between = _convolved(call, *_each_channel(layer.depthwise_kernel), has_bias=False)
    pointwise = np.asarray(layer.pointwise_kernel)
    product = call.nodes.add("MatMul", between, call.nodes.constant(pointwise.reshape(pointwise.shape[-2:])))
    return call.nodes.add("Add", product, call.nodes.constant(layer.bias)) if layer.use_bias else product


def _each_channel(kernel: Any) -> tuple[Array, int]:
    """The kernel of a convolution of each channel by itself, with the channels' number, which is that of groups."""
    given = np.asarray(kernel)
    *window, channels, multiplier = given.shape
    moved = np.moveaxis(given, (-2, -1), (0, 1))
    return moved.reshape(channels * multiplier, 1, *window), channels


def _convolved(call: Call, kernel: Array, groups: int, has_bias: bool) -> str:
    layer, nodes = call.layer, call.nodes
    inputs = [nodes.constant(kernel)] + ([nodes.constant(layer.bias)] if has_bias else [])
    strides, dilations = ([int(size) for size in each] for each in (layer.strides, layer.dilation_rate))
    padding: dict[str, Any] = _padding(layer)
    if layer.padding == "causal":
        padding = {"pads": [(kernel.shape[-1] - 1) * dilations[0], 0]}
    sizes = {"strides": strides, "dilations": dilations}
    return _channels_first(call, kernel.ndim - 2, "Conv", *inputs, group=groups, **sizes, **padding)


def _pooling(call: Call) -> str:
    layer = call.layer
    operator = "MaxPool" if type(layer).__name__.startswith("Max") else "AveragePool"
    window, strides = ([int(size) for size in each] for each in (layer.pool_size, layer.strides))
    return _channels_first(call, len(window), operator, kernel_shape=window, strides=strides, **_padding(layer))


def _padding(layer: Any) -> dict[str, str]:
    return {"auto_pad": "SAME_UPPER" if layer.padding == "same" else "VALID"}


def _channels_first(call: Call, rank: int, operator: str, *inputs: str, **attributes: Any) -> str:
    before = call.nodes.add("Transpose", call.given[0], perm=[0, rank + 1, *range(1, rank + 1)])
    given = call.nodes.add(operator, before, *inputs, **attributes)
    return call.nodes.add("Transpose", given, perm=[0, *range(2, rank + 2), 1])


def _global_pooling(call: Call) -> str:
    operator = "ReduceMax" if "Max" in type(call.layer).__name__ else "ReduceMean"
    axes = call.nodes.integers(*range(1, len(call.shapes[0])))
    return call.nodes.add(operator, call.given[0], axes, keepdims=int(call.layer.keepdims))


_ANY_RANK: dict[str, Callable[[Call], str]] = {
    "AveragePooling": _pooling,
    "Conv": _convolution,
    "DepthwiseConv": _depthwise,
    "GlobalAveragePooling": _global_pooling,
    "GlobalMaxPooling": _global_pooling,
    "MaxPooling": _pooling,
    "SeparableConv": _separable,
}
WINDOWED = {f"{name}{rank}D": write for name, write in _ANY_RANK.items() for rank in (1, 2, 3)}

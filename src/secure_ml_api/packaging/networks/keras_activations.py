"""The activations of Keras as nodes of an ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..graphs.writer import Inapplicable
from .nodes import Nodes

# Those that an operator is, with the numbers that are Keras's and not the operator's own.
_OPERATORS: dict[str, tuple[str, dict[str, float]]] = {
    "celu": ("Celu", {}),
    "elu": ("Elu", {}),
    "exponential": ("Exp", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
    "mish": ("Mish", {}),
    "relu": ("Relu", {}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
}


def activation(nodes: Nodes, given: str, function: Any) -> str:
    """``function`` of ``given``, where it is None or one of Keras's own; raises Inapplicable with its name."""
    if function is None:
        return given
    name = getattr(function, "__name__", type(function).__name__)
    # Anyone may have a function of such a name; those of keras.ops have other numbers than the activations.
    if (name in _OPERATORS or name in _SEVERAL or name == "linear") and not _is_keras_own(function):
        raise Inapplicable(f"no graph is written for the activation {name!r}, which is code of its own")
    if name == "linear":
        return given
    if name in _OPERATORS:
        operator, numbers = _OPERATORS[name]
        return nodes.add(operator, given, **numbers)
    if name in _SEVERAL:
        return _SEVERAL[name](nodes, given)
    raise Inapplicable(f"no graph is written for the activation {name!r}")


def _is_keras_own(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).startswith("keras.src.activations.")


def _gelu(nodes: Nodes, given: str) -> str:
    """x · Φ(x), with the error function itself (D. Hendrycks, K. Gimpel, 2016)."""
    half = nodes.add("Mul", given, nodes.number(0.5))
    error = nodes.add("Erf", nodes.add("Mul", given, nodes.number(math.sqrt(0.5))))
    return nodes.add("Mul", half, nodes.add("Add", error, nodes.number(1)))


def _relu6(nodes: Nodes, given: str) -> str:
    return nodes.add("Clip", given, nodes.number(0), nodes.number(6))


def _silu(nodes: Nodes, given: str) -> str:
    return nodes.add("Mul", given, nodes.add("Sigmoid", given))


_SEVERAL: dict[str, Callable[[Nodes, str], str]] = {"gelu": _gelu, "relu6": _relu6, "silu": _silu}

"""The graphs that a trained model may become, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import PackingError
from ..tensors import Signature
from .encoders import with_positions
from .extras import quiet
from .float64 import float64_converters, float64_shapes
from .graph import normalise
from .preparation import prepared
from .trained import Trained

NO_PROBABILITIES = "the model has no probabilities"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to make a graph whose numbers are ``datatype``.

    ``build`` gives the bytes of an ONNX model with the tensors of the signature, and raises anything when it cannot.
    """

    name: str
    datatype: Literal["FP32", "FP64"]
    build: Callable[[Trained, Signature], bytes]


def _converted(
    target_opset: dict[str, int] | None, *, most_probable: bool = False
) -> Callable[[Trained, Signature], bytes]:
    def build(trained: Trained, signature: Signature) -> bytes:
        if most_probable and not trained.has_probabilities:
            raise PackingError(NO_PROBABILITIES)
        with quiet():
            return normalise(_convert(trained, signature, target_opset), signature, most_probable=most_probable)

    return build


def _convert(trained: Trained, signature: Signature, target_opset: dict[str, int] | None) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    double = signature.output_datatype == "FP64"
    types = {"FP32": FloatTensorType, "FP64": DoubleTensorType, "BYTES": StringTensorType}
    # The converter rewrites names that are no identifiers, so it is given names that are.
    inputs = [
        (f"c{position}", types[spec.datatype]([None, *spec.shape[1:]]))
        for position, spec in enumerate(signature.inputs)
    ]
    model = prepared(with_positions(trained.estimator, signature.column_names), signature.output_datatype)
    return convert_sklearn(
        model,
        initial_types=inputs,
        options=_options(model, trained),
        target_opset=target_opset,
        custom_conversion_functions=float64_converters() if double else None,
        custom_shape_calculators=float64_shapes() if double else None,
        # Its own clean-up is quadratic in the number of nodes, and onnxruntime does the same when it loads.
        model_optim=False,
    )


def _options(model: Any, trained: Trained) -> dict[Any, Any] | None:
    """Probabilities as one tensor; a classifier without them must be named, or the converter asks it for them."""
    if trained.has_probabilities:
        return {"zipmap": False}
    while hasattr(model, "steps"):
        model = model.steps[-1][1]
    return {id(model): {}} if trained.task == "classification" else None


# Operator sets that every runtime since onnxruntime 1.15 knows, and with which more converters work than with newer
# ones: isolation forests and the label encoder among them.
_SETTLED = {"": 18, "ai.onnx.ml": 3}

CANDIDATES: tuple[Candidate, ...] = (
    Candidate("skl2onnx float32", "FP32", _converted(_SETTLED)),
    # Where two classes of a forest tie, scikit-learn takes the first, and the operator for trees the one whose
    # probability came out larger in float32.
    Candidate("skl2onnx float32, most probable class", "FP32", _converted(_SETTLED, most_probable=True)),
    Candidate("skl2onnx float64", "FP64", _converted(_SETTLED)),
    Candidate("skl2onnx float64, most probable class", "FP64", _converted(_SETTLED, most_probable=True)),
    Candidate("skl2onnx float32, newest operators", "FP32", _converted(None)),
    Candidate("skl2onnx float64, newest operators", "FP64", _converted(None)),
)

"""The graphs that a trained model may become, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..tensors import Signature
from .boosting import made_ready
from .encoders import with_positions
from .extras import quiet
from .float64 import float64_converters, float64_shapes
from .graph import normalise
from .graphs.forms import Form, direct_form, histogram_form, wide_differences_form, wide_product_form
from .graphs.writer import Inapplicable
from .preparation import final_step, prepared
from .trained import Trained

Datatype = Literal["FP32", "FP64"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to make a graph whose numbers are ``datatype``.

    ``build`` gives the bytes of an ONNX model with the tensors of the signature; it raises Inapplicable for models that
    it is not meant for, and anything else when it cannot. A candidate is tried only while none of an earlier ``tier``,
    and none of its own ``kind`` in its tier, answers as the trained model does on every row; the order is from plain
    and quick to careful.
    """

    name: str
    kind: Literal["stock", "written"]
    datatype: Datatype
    tier: int
    build: Callable[[Trained, Signature], bytes]


def _stock(
    target_opset: dict[str, int] | None, *, most_probable: bool = False
) -> Callable[[Trained, Signature], bytes]:
    def build(trained: Trained, signature: Signature) -> bytes:
        if most_probable and not trained.has_probabilities:
            raise Inapplicable("the model has no probabilities")
        double = signature.output_datatype == "FP64"
        form = Form(float64_converters() if double else {}, float64_shapes() if double else {})
        with quiet():
            converted = _convert(trained, signature, target_opset, form)
            return normalise(converted, signature, most_probable=most_probable)

    return build


def _written(form_of: Callable[[], Form]) -> Callable[[Trained, Signature], bytes]:
    """The last step by a graph written by hand, everything in front of it as the stock converter has it."""

    def build(trained: Trained, signature: Signature) -> bytes:
        form = form_of()
        if type(final_step(trained.estimator)) not in form.converters:
            raise Inapplicable("no graph is written for this model")
        if signature.output_datatype == "FP64":
            form = Form({**float64_converters(), **form.converters}, {**float64_shapes(), **form.shapes})
        with quiet():
            return normalise(_convert(trained, signature, _SETTLED, form), signature)

    return build


def _convert(trained: Trained, signature: Signature, target_opset: dict[str, int] | None, form: Form) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    number = DoubleTensorType if signature.output_datatype == "FP64" else FloatTensorType
    # The converter rewrites names that are no identifiers, so it is given names that are.
    inputs = [
        (f"c{position}", (StringTensorType if spec.datatype == "BYTES" else number)([None, *spec.shape[1:]]))
        for position, spec in enumerate(signature.inputs)
    ]
    histograms = histogram_form()
    model = made_ready(prepared(with_positions(trained.estimator, signature.column_names), signature.output_datatype))
    return convert_sklearn(
        model,
        initial_types=inputs,
        options=_options(model, trained),
        target_opset=target_opset,
        custom_conversion_functions={**histograms.converters, **form.converters},
        custom_shape_calculators={**histograms.shapes, **form.shapes},
        # Its own clean-up is quadratic in the number of nodes, and onnxruntime does the same when it loads.
        model_optim=False,
    )


def _options(model: Any, trained: Trained) -> dict[Any, Any] | None:
    """Probabilities as one tensor; a classifier without them must be named, or the converter asks it for them."""
    if trained.has_probabilities:
        return {"zipmap": False}
    return {id(final_step(model)): {}} if trained.task == "classification" else None


# Operator sets that every runtime since onnxruntime 1.15 knows, and with which more converters work than with newer
# ones: isolation forests and the label encoder among them.
_SETTLED = {"": 18, "ai.onnx.ml": 3}

CANDIDATES: tuple[Candidate, ...] = (
    Candidate("skl2onnx float32", "stock", "FP32", 0, _stock(_SETTLED)),
    # Where two classes of a forest tie, scikit-learn takes the first, and the operator for trees the one whose
    # probability came out larger in float32.
    Candidate("skl2onnx float32, most probable class", "stock", "FP32", 0, _stock(_SETTLED, most_probable=True)),
    Candidate("hand-written float32", "written", "FP32", 0, _written(direct_form)),
    # Rows that are nearly as near as each other, or far from zero, may need more digits, or fewer roundings.
    Candidate("hand-written float32, products in float64", "written", "FP32", 0, _written(wide_product_form)),
    Candidate("hand-written float32, differences in float64", "written", "FP32", 0, _written(wide_differences_form)),
    Candidate("skl2onnx float64", "stock", "FP64", 1, _stock(_SETTLED)),
    Candidate("skl2onnx float64, most probable class", "stock", "FP64", 1, _stock(_SETTLED, most_probable=True)),
    Candidate("hand-written float64", "written", "FP64", 1, _written(direct_form)),
    Candidate("hand-written float64, differences", "written", "FP64", 1, _written(wide_differences_form)),
    Candidate("skl2onnx float32, newest operators", "stock", "FP32", 2, _stock(None)),
    Candidate("skl2onnx float64, newest operators", "stock", "FP64", 2, _stock(None)),
)

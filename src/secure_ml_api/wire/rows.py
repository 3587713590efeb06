"""The rows protocol: ``{"features": …}`` → one prediction, ``{"instances": […]}`` → a list of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..errors import Misfit, SignatureMismatch
from ..tensors import Signature, Tensors
from .envelopes import Extra, RowsRequest, read_envelope
from .json_answer import json_answer, scalar
from .json_text import parts_of, read_json
from .negotiation import check_json
from .question import Answer, Dialect, Payload
from .quick_rows import quick_row, quick_rows
from .row_reader import row_reader

# What a batch may ask for beside its predictions, by task, and the model output that each is made from.
EXTRAS: dict[str, dict[Extra, str]] = {
    "classification": {"probabilities": "probabilities", "labels": "label"},
    "regression": {},
    "anomaly": {"is_anomaly": "label", "scores": "score"},
}


class RowsQuestion(NamedTuple):
    """One decoded rows request; a tuple for the reason that a payload is one."""

    signature: Signature
    inputs: Tensors
    rows: int
    single: bool
    extras: tuple[Extra, ...]
    wanted: tuple[str, ...]
    timeout_seconds: float | None = None

    def answer(self, outputs: Tensors, model: str, version: str) -> Answer:
        payload: dict[str, Any] = {"model": model, "version": version}
        predictions = np.ascontiguousarray(outputs[main_output(self.signature)])
        if self.single:
            payload["prediction"] = scalar(predictions)
            payload.update(_single_extras(self.signature, outputs))
        else:
            payload["predictions"] = predictions
            for extra in self.extras:
                payload[extra] = _batch_extra(extra, self.signature, outputs)
        return json_answer(payload)


def decode_rows(payload: Payload, signature: Signature, max_rows: int) -> RowsQuestion:
    """The question in ``payload``; raises MalformedBody, BodyTooLarge or SignatureMismatch."""
    body = payload.body
    row = quick_row(body, signature)
    if row is not None:
        return RowsQuestion(signature, {"input": row}, 1, True, (), signature.output_names)
    return question_of(signature, *(quick_rows(body, signature, max_rows) or read_rows(body, signature, max_rows)))


def question_of(signature: Signature, request: RowsRequest, inputs: Tensors, rows: int) -> RowsQuestion:
    """The question of ``request`` about ``inputs``; raises SignatureMismatch for outputs that the model lacks."""
    single = request.instances is None
    return RowsQuestion(
        signature=signature,
        inputs=inputs,
        rows=rows,
        single=single,
        extras=tuple(request.outputs),
        wanted=_wanted(signature, single, request.outputs),
    )


def read_rows(body: bytes, signature: Signature, max_rows: int) -> tuple[RowsRequest, Tensors, int]:
    """The request, the tensors of its rows and their number; the one judge of bodies that are not plainly good."""
    request = read_envelope(RowsRequest, read_json(body, parts_of(signature, max_rows)))
    if (request.features is None) == (request.instances is None):
        raise SignatureMismatch("send either features, for one row, or instances, for a list of rows")
    if request.instances is None and request.outputs:
        raise SignatureMismatch(
            "one row is answered with all that the model gives: outputs goes with instances",
            [Misfit("goes with instances", feature="outputs")],
        )
    rows: list[Any] = [request.features] if request.instances is None else request.instances
    check_row_count(len(rows), max_rows)
    return request, row_reader(signature).read(rows), len(rows)


def check_row_count(rows: int, max_rows: int) -> None:
    """Raise SignatureMismatch when a request has more rows than the server takes at once, or none."""
    if rows > max_rows:
        raise SignatureMismatch(f"a request may have {max_rows} rows; this one has {rows}")
    if rows == 0:
        raise SignatureMismatch("the request has no rows")


def main_output(signature: Signature) -> str:
    """The output that holds the prediction itself."""
    return "value" if signature.task == "regression" else "label"


def has_extra(extra: Extra, signature: Signature) -> bool:
    """Whether the model can give ``extra``."""
    return extra in EXTRAS[signature.task] and (extra != "probabilities" or signature.has_probabilities)


def label_words(signature: Signature, values: np.ndarray[Any, Any]) -> list[str]:
    """The words for predicted classes: ``values`` [rows] are class values, or indices of classes that are words.

    Raises KeyError for a value that is no class of the model, rather than name another one.
    """
    words = _words(signature)
    return [words[value] for value in values.tolist()]


@lru_cache(maxsize=512)
def _words(signature: Signature) -> dict[int, str]:
    """Predicted value → word; classes that are words themselves are predicted as their position."""
    keys = [name if isinstance(name, int) else position for position, name in enumerate(signature.classes)]
    return dict(zip(keys, signature.labels, strict=True))


def _wanted(signature: Signature, single: bool, extras: Sequence[Extra]) -> tuple[str, ...]:
    if single:
        return signature.output_names
    wanted = [main_output(signature)]
    for extra in extras:
        if not has_extra(extra, signature):
            known = [name for name in EXTRAS[signature.task] if has_extra(name, signature)]
            remedy = f"it gives {', '.join(known)}" if known else "it gives its predictions alone"
            raise SignatureMismatch(
                f"the model does not give {extra}; {remedy}", [Misfit("not given by this model", feature="outputs")]
            )
        output = EXTRAS[signature.task][extra]
        if output not in wanted:
            wanted.append(output)
    return tuple(wanted)


def _single_extras(signature: Signature, outputs: Tensors) -> dict[str, Any]:
    if signature.task == "anomaly":
        return {"is_anomaly": bool(outputs["label"][0] == -1), "score": scalar(outputs["score"])}
    if signature.task == "regression":
        return {}
    extras: dict[str, Any] = {"label": label_words(signature, outputs["label"])[0]}
    if signature.has_probabilities:
        extras["probabilities"] = np.ascontiguousarray(outputs["probabilities"][0])
    return extras


def _batch_extra(extra: Extra, signature: Signature, outputs: Tensors) -> Any:
    match extra:
        case "labels":
            return label_words(signature, outputs["label"])
        case "is_anomaly":
            return outputs["label"] == -1
        case "probabilities":
            return np.ascontiguousarray(outputs["probabilities"])
        case "scores":
            return np.ascontiguousarray(outputs["score"])


ROWS = Dialect(check_json, decode_rows)

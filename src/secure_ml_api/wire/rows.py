"""The rows protocol: one row, or a batch as JSON, CSV or an Arrow stream → predictions in any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import Misfit, SignatureMismatch
from ..tensors import Signature, Tensors
from .answer_table import answer_columns
from .arrow_rows import read_arrow, write_arrow
from .csv_rows import read_csv, write_csv
from .envelopes import Extra, RowsRequest, read_envelope
from .json_answer import json_answer, scalar
from .json_text import check_size, parts_of, read_json
from .outputs import EXTRAS, all_extras, has_extra, label_words, main_output
from .question import CSV, JSON, Answer, Dialect, Payload
from .quick_named import quick_named
from .quick_rows import quick_row, quick_rows
from .row_formats import check_rows, row_formats
from .row_reader import row_reader
from .tensor_inputs import check_row_count


class RowsQuestion(NamedTuple):
    """One decoded rows request; a tuple for the reason that a payload is one."""

    signature: Signature
    inputs: Tensors
    rows: int
    single: bool
    extras: tuple[Extra, ...]
    wanted: tuple[str, ...]
    format: str = JSON
    timeout_seconds: float | None = None

    def answer(self, outputs: Tensors, model: str, version: str) -> Answer:
        if self.format != JSON:
            columns = answer_columns(self.signature, outputs, self.extras)
            return Answer((write_csv if self.format == CSV else write_arrow)(columns), self.format)
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
    sent, wanted = row_formats(payload.content_type, payload.accept)
    if sent != JSON:
        inputs, rows = (read_csv if sent == CSV else read_arrow)(body, signature, max_rows)
        return _table_question(signature, inputs, rows, wanted)
    row = quick_row(body, signature)
    if row is not None and wanted == JSON:
        return RowsQuestion(signature, {"input": row}, 1, True, (), signature.output_names)
    check_size(body, signature, max_rows)
    request, inputs, rows = (
        quick_rows(body, signature, max_rows)
        or quick_named(body, signature, max_rows)
        or read_rows(body, signature, max_rows)
    )
    question = question_of(signature, request, inputs, rows)
    if wanted == JSON:
        return question
    return question._replace(format=wanted, extras=all_extras(signature) if question.single else question.extras)


def _table_question(signature: Signature, inputs: Tensors, rows: int, wanted: str) -> RowsQuestion:
    """A batch that had no place to list its outputs: columns hold all that there is, JSON the predictions alone."""
    if wanted == JSON:
        return RowsQuestion(signature, inputs, rows, False, (), (main_output(signature),))
    return RowsQuestion(signature, inputs, rows, False, all_extras(signature), signature.output_names, wanted)


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


ROWS = Dialect(check_rows, decode_rows)

"""Bodies of every protocol, judged by each reader there is: whatever comes, a question or a documented refusal.

Where there are several readers they must be of one opinion, to the last bit and the last word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from secure_ml_api.errors import BodyTooLarge, MalformedBody, SignatureMismatch
from secure_ml_api.tensors import Signature, Tensors
from secure_ml_api.wire.arrow_rows import read_arrow
from secure_ml_api.wire.csv_rows import read_cells, read_csv
from secure_ml_api.wire.oip import decode_oip, read_infer
from secure_ml_api.wire.question import Payload
from secure_ml_api.wire.rows import decode_rows, question_of, read_rows
from secure_ml_api.wire.tfserving import decode_tensorflow, read_tensorflow

from .json_bodies import bits, verdict
from .number_readers import by_every_reader

MOST_ROWS = 4


def judged(read: Callable[[], Any]) -> object:
    """The question that ``read`` gives, or the refusal that it raises, in parts that can be compared.

    Anything else that it raises comes through: no decoder promises it.
    """
    try:
        question = read()
    except (MalformedBody, BodyTooLarge, SignatureMismatch) as refusal:
        return verdict(refusal)
    if isinstance(question, tuple) and not hasattr(question, "_replace"):
        tensors, rows = question
        return bits(_sound(tensors, rows)), rows
    rest = question._replace(inputs={}) if hasattr(question, "_replace") else replace(question, inputs={})
    return bits(_sound(question.inputs, question.rows)), rest


def check_rows(body: bytes, signature: Signature) -> None:
    served = by_every_reader(lambda: judged(lambda: decode_rows(Payload(body), signature, MOST_ROWS)))
    assert served == judged(lambda: question_of(signature, *read_rows(body, signature, MOST_ROWS))), body


def check_infer(body: bytes, signature: Signature) -> None:
    served = by_every_reader(lambda: judged(lambda: decode_oip(Payload(body), signature, MOST_ROWS)))
    assert served == judged(lambda: read_infer(body, signature, MOST_ROWS)), body


def check_tensorflow(body: bytes, signature: Signature) -> None:
    served = by_every_reader(lambda: judged(lambda: decode_tensorflow(Payload(body), signature, MOST_ROWS)))
    assert served == judged(lambda: read_tensorflow(body, signature, MOST_ROWS)), body


def check_csv(body: bytes, signature: Signature) -> None:
    served = by_every_reader(lambda: judged(lambda: read_csv(body, signature, MOST_ROWS)))
    assert served == judged(lambda: read_cells(body, signature, MOST_ROWS)), body


def check_arrow(body: bytes, signature: Signature) -> None:
    judged(lambda: read_arrow(body, signature, MOST_ROWS))


def check_binary(body: bytes, json_bytes: str, signature: Signature) -> None:
    payload = Payload(body, inference_header_length=json_bytes)
    by_every_reader(lambda: judged(lambda: decode_oip(payload, signature, MOST_ROWS)))


def _sound(tensors: Tensors, rows: int) -> Tensors:
    """``tensors``, which hold as many rows as they say, and not too many."""
    assert 1 <= rows <= MOST_ROWS
    assert all(len(tensor) == rows for tensor in tensors.values())
    return tensors

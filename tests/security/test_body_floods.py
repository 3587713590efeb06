"""A kilobyte of gzip is a megabyte of delimiters: what a parser would make of each is counted before it makes any."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pytest
from werkzeug.test import Client

from secure_ml_api.errors import BodyTooLarge, Refusal
from secure_ml_api.tensors import Column, Signature
from secure_ml_api.wire import csv_records, csv_rows, json_text, oip_binary
from secure_ml_api.wire.json_text import parts_of
from secure_ml_api.wire.oip import decode_oip
from secure_ml_api.wire.question import CSV, JSON, Payload
from secure_ml_api.wire.rows import decode_rows
from secure_ml_api.wire.tfserving import TENSORFLOW
from support.application import Application
from support.signatures import IRIS, MIXED, TEXT

MAX_ROWS = 100
MANY = 1_000_000
HEADER = ",".join(IRIS.column_names).encode() + b"\n"
CSV_FLOODS = {
    "one line": b"," * MANY,
    "one line after the header": HEADER + b"," * MANY,
    "many lines": HEADER + (b"," * 1000 + b"\n") * 1000,
    "many lines of numbers": HEADER + b"1,1,1,1,1\n" * MANY,
    "empty lines": HEADER + b"\n" * MANY,
    "empty lines after a quote": HEADER + b'"1",1,1,1\n' + b"\n" * MANY,
    "quoted cells": HEADER + b'"",' * MANY,
    "cells that look quoted": HEADER + b'a"' + b"," * MANY + b'"',
    "a record of many lines": HEADER + b'"' + b'\n",,,,,,"' * (MANY // 4),
    "a record of two lines": HEADER + b'"\n"' + b"," * MANY,
}
JSON_FLOODS = {
    "rows": b'{"instances":[' + b"[1,1,1,1]," * MANY + b"[1,1,1,1]]}",
    "empty rows": b'{"instances":[' + b"[]," * MANY + b"[]]}",
    "objects": b'{"instances":[' + b"{}," * MANY + b"{}]}",
    "numbers": b'{"instances":[' + b"1," * MANY + b"1]}",
    "one wide row": b'{"instances":[[' + b"1," * MANY + b"1]]}",
    "texts": b'{"instances":[' + b'"",' * MANY + b'""]}',
    "one row": b'{"features":[' + b"1," * MANY + b"1]}",
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many cells each record had that the parser of CSV made."""
    cells: list[int] = []

    class Reader:
        def __init__(self, lines: Iterable[str], **options: Any) -> None:
            self._reader = csv.reader(lines, **options)

        def __iter__(self) -> Iterator[list[str]]:
            for record in self._reader:
                cells.append(len(record) or 1)
                yield record

        @property
        def line_num(self) -> int:
            return self._reader.line_num

    class Module:
        reader, Error = Reader, csv.Error

    monkeypatch.setattr(csv_records, "csv", Module)
    return cells


@pytest.mark.parametrize("body", CSV_FLOODS.values(), ids=CSV_FLOODS)
@pytest.mark.parametrize("signature", [IRIS, MIXED], ids=["numbers", "mixed"])
def test_no_csv_is_made_into_more_cells_than_the_most_rows_have_and_some(
    signature: Any, body: bytes, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "read_numbers", lambda *_: pytest.fail("the numbers were parsed"))
    body = body.replace(HEADER, ",".join(signature.column_names).encode() + b"\n")
    with pytest.raises(Refusal):
        csv_rows.read_csv(body, signature, MAX_ROWS)
    assert sum(made) < 150_000


def test_delimiters_inside_quoted_text_are_no_cells() -> None:
    texts = ["," * 90_000, "a\n" * 50_000, '"",' * 20_000]
    body = "\n".join(f'"{text.replace(chr(34), chr(34) * 2)}",1' for text in texts)
    assert list(csv_records.records(body, most_cells=10)) == [[text, "1"] for text in texts]


@pytest.mark.parametrize("body", JSON_FLOODS.values(), ids=JSON_FLOODS)
@pytest.mark.parametrize("decode", [decode_rows, TENSORFLOW.decode], ids=["rows", "tensorflow"])
def test_no_json_of_more_elements_than_the_most_rows_have_is_parsed(
    decode: Any, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orjson, "loads", lambda _: pytest.fail("the body was parsed"))
    monkeypatch.setattr(json_text._DECODER, "decode", lambda _: pytest.fail("the body was parsed"))
    with pytest.raises(BodyTooLarge):
        decode(Payload(body, JSON, JSON), IRIS, MAX_ROWS)


TENSOR = b'{"inputs":[{"name":"%b","datatype":"%b","shape":[1,4],"data":[%b]}]}'
OIP_FLOODS = {
    "numbers": TENSOR % (b"input", b"FP32", b"1," * MANY + b"1"),
    "lists": TENSOR % (b"input", b"FP32", b"[1]," * MANY + b"[1]"),
    "nested lists": TENSOR % (b"input", b"FP32", b"[" * MANY + b"]" * MANY),
    "texts": TENSOR % (b"input", b"BYTES", b'"",' * MANY + b'""'),
    "dimensions": b'{"inputs":[{"name":"input","datatype":"FP32","shape":[' + b"1," * MANY + b"1]}]}",
    "inputs": b'{"inputs":[' + b"{}," * MANY + b"{}]}",
    "outputs": b'{"inputs":[],"outputs":[' + b"1," * MANY + b"1]}",
    "what is ignored": b'{"inputs":[],"more":[' + b"1," * MANY + b"1]}",
}


@pytest.mark.parametrize("body", OIP_FLOODS.values(), ids=OIP_FLOODS)
@pytest.mark.parametrize("header", [False, True], ids=["json", "before tensors in binary"])
def test_no_tensors_in_json_of_more_elements_than_the_most_rows_have_are_parsed(
    body: bytes, monkeypatch: pytest.MonkeyPatch, *, header: bool
) -> None:
    monkeypatch.setattr(orjson, "loads", lambda _: pytest.fail("the body was parsed"))
    monkeypatch.setattr(json_text._DECODER, "decode", lambda _: pytest.fail("the body was parsed"))
    payload = Payload(body, inference_header_length=str(len(body)) if header else "")
    with pytest.raises(BodyTooLarge):
        decode_oip(payload, IRIS, MAX_ROWS)


@pytest.mark.parametrize("text", [b"", b"a", b"ab"], ids=["empty", "of one letter", "of two letters"])
def test_no_texts_in_binary_are_taken_apart_that_are_more_than_the_most_rows_have(
    text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four bytes of the body are a text, which takes up to a hundred of memory."""
    monkeypatch.setattr(oip_binary, "_split", lambda *_: pytest.fail("the texts were taken apart"))
    tail = (len(text).to_bytes(4, "little") + text) * MANY
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1, MANY], "parameters": {"binary_data_size": len(tail)}}
    head = orjson.dumps({"inputs": [tensor]})
    with pytest.raises(BodyTooLarge):
        decode_oip(Payload(head + tail, inference_header_length=str(len(head))), TEXT, MAX_ROWS)


def test_texts_of_all_tensors_in_binary_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = tuple(Column(name=f"text{number}", datatype="BYTES") for number in range(8))
    signature = Signature(task="regression", columns=columns)
    half = parts_of(signature, MAX_ROWS) // 2
    tail = bytes(4 * half)
    tensors = [
        {"name": c.name, "datatype": "BYTES", "shape": [1, half], "parameters": {"binary_data_size": len(tail)}}
        for c in columns
    ]
    head = orjson.dumps({"inputs": tensors})
    with pytest.raises(BodyTooLarge):
        decode_oip(Payload(head + tail * 8, inference_header_length=str(len(head))), signature, MAX_ROWS)


@pytest.mark.parametrize(
    ("kind", "body"), [(CSV, CSV_FLOODS["one line"]), (JSON, JSON_FLOODS["numbers"])], ids=["csv", "json"]
)
def test_a_flood_that_comes_compressed_is_answered_413(
    door: Client, application: Application, kind: str, body: bytes
) -> None:
    headers = {**application.headers(), "Content-Type": kind, "Content-Encoding": "gzip"}
    assert door.post("/v1/models/iris/predict", data=gzip.compress(body), headers=headers).status_code == 413

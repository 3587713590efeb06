"""Whether an ONNX model keeps tensor data outside of its own bytes, read from the bytes without the onnx library."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Literal

Message = Literal["model", "graph", "node", "attribute", "tensor", "sparse", "function", "training"]

# The fields of onnx.proto that lead to a tensor: message → field number → message.
_CHILDREN: dict[Message, dict[int, Message]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "tensor": {},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
}
_TENSOR_EXTERNAL_DATA = 13
_TENSOR_DATA_LOCATION = 14
_MAX_DEPTH = 64

# The C library's search: Python's own keeps the interpreter from all requests until it has seen every byte.
_find = ctypes.CDLL(None).memmem
_find.restype = ctypes.c_void_p
_find.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
_WORD = b"location"


def mentions_external_data(model: bytes) -> bool:
    """Whether any tensor of ``model`` says that its data is elsewhere; True as well for bytes that are no protobuf.

    Data elsewhere needs an entry with the key ``location``, so bytes without that word are settled at memory speed.
    """
    if not _find(model, len(model), _WORD, len(_WORD)):
        return False
    try:
        return _external(memoryview(model), "model", 0)
    except (IndexError, ValueError):
        return True


def _external(data: memoryview, message: Message, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise ValueError("nested deeper than any graph that a runtime accepts")
    children = _CHILDREN[message]
    for field, payload in _fields(data):
        if message == "tensor" and field in {_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION} and payload != 0:
            return True
        child = children.get(field)
        if child is None:
            continue
        if not isinstance(payload, memoryview):
            raise ValueError("a message is stored as a number")  # noqa: TRY004 - the bytes are wrong, not the types
        if _external(payload, child, depth + 1):
            return True
    return False


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Field number and payload of each field: a view for length-delimited ones, a number for varints, else −1."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        field, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _varint(data, position)
            yield field, value
        elif kind == 2:
            length, position = _varint(data, position)
            if length > len(data) - position:
                raise ValueError("a field is longer than its message")
            yield field, data[position : position + length]
            position += length
        elif kind in {1, 5}:
            position += 8 if kind == 1 else 4
            yield field, -1
        else:
            raise ValueError("a wire type that ONNX does not use")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number longer than 64 bits")

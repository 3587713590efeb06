"""Arrow IPC streams in and out, where pyarrow is installed (the extra ``arrow``).

Only flat columns in uncompressed buffers are read, so that no stream takes more memory than its own bytes: what is
compressed, or told by a dictionary, could unpack to any size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MalformedBody, Misfit, SignatureMismatch
from ..tensors import Column, Signature, Tensors
from .answer_table import Columns
from .tensor_inputs import check_row_count, converted, fit_tensors, join_columns

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_MISFITS = 100
_MOST_BATCHES = 1000
# Slots of Message and RecordBatch in Arrow's format/Message.fbs.
_MESSAGE_HEADER, _BATCH_LENGTH, _BATCH_COMPRESSION = 2, 0, 3


@cache
def has_arrow() -> bool:
    """Whether pyarrow is installed; it is imported with the first stream that comes."""
    return find_spec("pyarrow") is not None


def read_arrow(body: bytes, signature: Signature, max_rows: int) -> tuple[Tensors, int]:
    """The tensors of the stream's rows and their number; raises MalformedBody or SignatureMismatch."""
    import pyarrow as pa

    try:
        table = _table(pa, body, signature, max_rows)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, struct.error):
        raise MalformedBody("the body is not an Arrow IPC stream") from None
    check_row_count(len(table), max_rows)
    given = {column.name: _values(table.column(column.name), column) for column in signature.columns}
    if signature.is_matrix:
        return fit_tensors(join_columns(given, signature), signature), len(table)
    tensors = {column.name: converted(column, given[column.name]) for column in signature.columns}
    return fit_tensors(tensors, signature), len(table)


def write_arrow(columns: Columns) -> bytes:
    """``columns`` as a stream of one record batch."""
    import pyarrow as pa

    batch = pa.record_batch([pa.array(values) for _, values in columns], names=[name for name, _ in columns])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _table(pa: Any, body: bytes, signature: Signature, max_rows: int) -> pa.Table:
    """All batches of the stream, each of them checked before and after it is read."""
    source = pa.BufferReader(body)
    messages = _messages(pa, source)
    schema = _schema(pa, next(messages, None), signature)
    batches: list[pa.RecordBatch] = []
    rows = 0
    for message in messages:
        rows += _row_count(message)
        if rows > max_rows or len(batches) == _MOST_BATCHES:
            raise SignatureMismatch(
                f"a request may have {max_rows} rows, in {_MOST_BATCHES} batches; this one has more"
            )
        batch = pa.ipc.read_record_batch(message, schema)
        batch.validate(full=True)
        batches.append(batch)
    if source.tell() != len(body):
        raise MalformedBody("the body has bytes after the end of the Arrow IPC stream")
    return pa.Table.from_batches(batches, schema=schema)


def _messages(pa: Any, source: Any) -> Iterator[Any]:
    reader = pa.ipc.MessageReader.open_stream(source)
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _schema(pa: Any, message: Any, signature: Signature) -> pa.Schema:
    """The stream's schema: each of the model's columns once, in types that hold no more than they take."""
    if message is None or message.type != "schema":
        raise MalformedBody("the body is not an Arrow IPC stream")
    schema = pa.ipc.read_schema(message)
    if len(schema.names) != len(signature.columns) or set(schema.names) != set(signature.column_names):
        misfits = [
            Misfit("this feature is missing", feature=name)
            for name in signature.column_names
            if name not in schema.names
        ]
        raise SignatureMismatch("the schema names each of the model's features once, and nothing else", misfits)
    kinds = pa.types
    known = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_string, kinds.is_large_string)
    misfits = [
        Misfit("send plain numbers, truth values or strings", feature=field.name)
        for field in schema
        if not any(is_known(field.type) for is_known in known)
    ]
    if misfits:
        raise SignatureMismatch("a column has a type that is not read here", misfits)
    return schema


def _row_count(message: Any) -> int:
    """The rows that a record batch claims; raises MalformedBody for other messages and for compressed buffers.

    Read from the message's flatbuffer itself, because pyarrow unpacks before it tells.
    """
    if message.type != "record batch":
        raise MalformedBody("an Arrow IPC stream of flat columns holds record batches alone")
    data = message.metadata.to_pybytes()
    header = _field(data, _offset(data, 0), _MESSAGE_HEADER)
    batch = _offset(data, header)
    if _field(data, batch, _BATCH_COMPRESSION):
        raise MalformedBody("send Arrow buffers uncompressed; the whole body may be compressed with gzip or deflate")
    length = _field(data, batch, _BATCH_LENGTH)
    rows: int = struct.unpack_from("<q", data, length)[0] if length else 0
    if rows < 0:
        raise MalformedBody("the body is not an Arrow IPC stream")
    return rows


def _field(data: bytes, table: int, slot: int) -> int:
    """Where a field of a flatbuffer's table stands, 0 when it is absent (flatbuffers.dev/internals)."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0:
        raise MalformedBody("the body is not an Arrow IPC stream")
    place = 4 + 2 * slot
    if place >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    offset: int = struct.unpack_from("<H", data, vtable + place)[0]
    return table + offset if offset else 0


def _offset(data: bytes, at: int) -> int:
    """The table that the reference at ``at`` points to."""
    distance: int = struct.unpack_from("<I", data, at)[0]
    return at + distance


def _values(values: pa.ChunkedArray, column: Column) -> np.ndarray[Any, Any]:
    """One column as [rows]; null is NaN where the model takes missing values, else a misfit of its row."""
    if values.null_count and not column.allow_missing:
        missing = np.flatnonzero(values.is_null().to_numpy())[:_MAX_MISFITS].tolist()
        misfits = [Misfit("this value is missing", row=row, feature=column.name) for row in missing]
        raise SignatureMismatch("some rows do not fit the model", misfits)
    array: np.ndarray[Any, Any] = values.to_numpy(zero_copy_only=False)
    return array

"""What is fuzzed: each target takes any bytes, and raises when a promise about them is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jwt

from secure_ml_api.auth.compact import bearer_token, read_unverified
from secure_ml_api.errors import BodyTooLarge, MalformedBody, TokenMissing, TokenRefused
from secure_ml_api.tensors import Signature
from secure_ml_api.wire.compression import decompressed
from support.gathered_requests import check_gathering, check_stream
from support.judged_bodies import check_arrow, check_binary, check_csv, check_infer, check_rows, check_tensorflow
from support.plain_requests import assert_read_alike, taken
from support.signatures import ALL, COUNTS, GAPS, IRIS, ONE

Check = Callable[[bytes], None]
# What a matrix of numbers is read for, quickly or not: the first byte of an input chooses one, or one of ALL.
_NUMBERS = (IRIS, ONE, GAPS, COUNTS)
_LIMIT_BYTES = 4096


def _with_signature(check: Callable[[bytes, Signature], None], signatures: tuple[Signature, ...]) -> Check:
    """The first byte of an input chooses the model's signature, the rest is the body."""

    def run(data: bytes) -> None:
        if data:
            check(data[1:], signatures[data[0] % len(signatures)])

    return run


def binary(data: bytes) -> None:
    """The first byte chooses the signature, the second says how many bytes of the rest are JSON."""
    if len(data) > 1:
        check_binary(data[2:], str(data[1]), ALL[data[0] % len(ALL)])


def http(data: bytes) -> None:
    """A request that the quick reader takes means what gunicorn's parser reads in it."""
    if 0 < len(data) <= _LIMIT_BYTES:
        environ = taken(data)
        if environ is not None:
            assert_read_alike(data, environ)


def gathering(data: bytes) -> None:
    """The first byte says in pieces of how many bytes a request comes, which is the rest."""
    if 1 < len(data) <= _LIMIT_BYTES:
        check_gathering(data[1:], data[0] + 1)


def chunks(data: bytes) -> None:
    """As ``gathering``, but of a request the body alone, in chunks."""
    if 1 < len(data) <= _LIMIT_BYTES:
        check_gathering(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data[1:], data[0] + 1)


def stream(data: bytes) -> None:
    """As ``gathering``, but of requests one after the other; with an odd first byte every other one is turned away."""
    if 1 < len(data) <= _LIMIT_BYTES:
        check_stream(data[1:], data[0] + 1, skips=bool(data[0] & 1))


def token(data: bytes) -> None:
    """An Authorization header is refused in the documented way, or read as PyJWT reads it."""
    try:
        found = read_unverified(bearer_token(data.decode("latin-1")))
    except (TokenMissing, TokenRefused):
        return
    try:
        header = jwt.get_unverified_header(found.text)
        claims = jwt.decode(found.text, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return  # refused when the signature is checked
    assert (header["kid"], header["alg"], claims["iss"]) == (found.kid, found.algorithm, found.issuer)


def compression(data: bytes) -> None:
    """What is opened is no larger than allowed; the first byte chooses the coding."""
    if data:
        try:
            opened = decompressed(data[1:], ("gzip", "deflate")[data[0] % 2], _LIMIT_BYTES)
        except (MalformedBody, BodyTooLarge):
            return
        assert len(opened) <= _LIMIT_BYTES


TARGETS: dict[str, Check] = {
    "rows": _with_signature(check_rows, (*_NUMBERS, *ALL)),
    "infer": _with_signature(check_infer, (*_NUMBERS, *ALL)),
    "tensorflow": _with_signature(check_tensorflow, (*_NUMBERS, *ALL)),
    "csv": _with_signature(check_csv, (*_NUMBERS, *ALL)),
    "arrow": _with_signature(check_arrow, ALL),
    "binary": binary,
    "http": http,
    "gathering": gathering,
    "chunks": chunks,
    "stream": stream,
    "token": token,
    "compression": compression,
}

_HERE = Path(__file__).parent


def kept_inputs(target: str) -> list[Path]:
    """The inputs of ``target`` that are kept: where fuzzing begins, and what it ever found."""
    return sorted(path for kind in ("corpus", "findings") for path in (_HERE / kind / target).glob("*"))

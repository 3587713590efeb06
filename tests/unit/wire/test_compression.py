"""Compressed bodies are opened whole, once and under a cap."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import BodyTooLarge, MalformedBody, Refusal, UnsupportedContent
from secure_ml_api.wire.compression import decompressed

LIMIT = 10_000


@given(st.binary(max_size=LIMIT))
def test_gzip_and_deflate_give_back_what_was_compressed(plain: bytes) -> None:
    assert decompressed(gzip.compress(plain), "gzip", LIMIT) == plain
    assert decompressed(gzip.compress(plain), " X-GZIP ", LIMIT) == plain
    assert decompressed(zlib.compress(plain), "deflate", LIMIT) == plain


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "br", "gzip, gzip", "\x00", "identity", ""]))
def test_any_bytes_are_opened_or_refused(body: bytes, encoding: str) -> None:
    with suppress(Refusal):
        decompressed(body, encoding, LIMIT)


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
def test_no_encoding_leaves_the_body_as_it_is(encoding: str) -> None:
    assert decompressed(b"{}", encoding, LIMIT) == b"{}"


def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert len(decompressed(gzip.compress(bytes(LIMIT)), "gzip", LIMIT)) == LIMIT
    with pytest.raises(BodyTooLarge, match=str(LIMIT)):
        decompressed(gzip.compress(bytes(LIMIT + 1)), "gzip", LIMIT)


def test_a_bomb_is_not_unpacked_past_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    inflater = zlib.decompressobj

    class Recording:
        def __init__(self, window: int) -> None:
            self._real = inflater(window)

        def decompress(self, body: bytes, max_length: int) -> bytes:
            asked.append(max_length)
            return self._real.decompress(body, max_length)

    monkeypatch.setattr(zlib, "decompressobj", Recording)
    with pytest.raises(BodyTooLarge):
        decompressed(gzip.compress(bytes(50_000_000)), "gzip", LIMIT)
    assert asked == [LIMIT + 1]


@pytest.mark.parametrize("cut", [0, 1, 9, -1, -8])
def test_a_truncated_stream_is_malformed(cut: int) -> None:
    with pytest.raises(MalformedBody):
        decompressed(gzip.compress(b'{"features": [1]}')[:cut], "gzip", LIMIT)


def test_bytes_after_the_stream_are_malformed() -> None:
    with pytest.raises(MalformedBody):
        decompressed(gzip.compress(b"{}") + b"x", "gzip", LIMIT)


def test_a_wrong_checksum_is_malformed() -> None:
    packed = bytearray(gzip.compress(b'{"features": [1]}'))
    packed[-8] ^= 1
    with pytest.raises(MalformedBody):
        decompressed(bytes(packed), "gzip", LIMIT)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip;q=1", "secret"])
def test_another_encoding_is_unsupported_and_the_refusal_lists_those_spoken(encoding: str) -> None:
    with pytest.raises(UnsupportedContent) as caught:
        decompressed(b"{}", encoding, LIMIT)
    assert caught.value.accepted == ("gzip", "deflate")
    assert "secret" not in caught.value.detail

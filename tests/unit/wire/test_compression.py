"""Compressed bodies are opened whole, once and under a cap."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import BodyTooLarge, MalformedBody, Refusal, UnsupportedContent
from secure_ml_api.wire.compression import compressed, decompressed
from secure_ml_api.wire.question import Answer

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


LARGE = Answer(b"0123456789" * 2000, headers=(("A", "b"),))


@pytest.mark.parametrize(
    ("asked", "coding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("deflate", "deflate"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("gzip;q=0, deflate", "deflate"),
        ("br, zstd, GZIP", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0, *;q=0.1", "deflate"),
    ],
)
def test_a_large_answer_is_compressed_as_the_caller_asks(asked: str, coding: str) -> None:
    answer = compressed(LARGE, asked)
    assert answer.headers == (("A", "b"), ("Content-Encoding", coding), ("Vary", "Accept-Encoding"))
    assert len(answer.body) < len(LARGE.body)
    assert decompressed(answer.body, coding, len(LARGE.body)) == LARGE.body


@pytest.mark.parametrize(
    "asked", ["", "identity", "br", "gzip;q=0", "*;q=0", "gzip;q=0, deflate;q=0, *", "gzipped", ";"]
)
def test_an_answer_goes_as_it_is_to_callers_who_ask_for_nothing_known(asked: str) -> None:
    assert compressed(LARGE, asked) is LARGE


def test_an_answer_goes_as_it_is_to_callers_who_ask_in_kilobytes() -> None:
    answer = Answer(b"a" * 100_000, "text/plain")
    assert compressed(answer, "gzip" + "," * 996).headers
    assert compressed(answer, "gzip" + "," * 997) is answer


def test_a_small_answer_is_not_worth_it() -> None:
    small = Answer(b"{}")
    assert compressed(small, "gzip") is small


@given(st.text(max_size=60) | st.text(st.sampled_from("gzipdeflate*;q=0.1, "), max_size=40))
def test_any_wish_leaves_an_answer_that_can_be_read(asked: str) -> None:
    answer = compressed(LARGE, asked)
    coding = dict(answer.headers).get("Content-Encoding", "")
    assert decompressed(answer.body, coding, len(LARGE.body)) == LARGE.body

"""How much of a body is gathered, and where a chunked one ends, found out while it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.auth.client_authentication import FORM_LIMIT_BYTES
from secure_ml_api.server.gathering import Chunks, Room, longest_body_bytes

_WHOLE = b"5;ext=1\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.data())
def test_end_of_a_chunked_body_is_found_with_its_last_byte(chunks: list[bytes], data: st.DataObject) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body) - 1), max_size=6)))
    scan = Chunks(begin=4, limit_bytes=1000)
    for cut in cuts:
        assert scan.end(bytearray(b"head" + body[:cut])) is None
    assert scan.end(bytearray(b"head" + body + b"GET /next")) == 4 + len(body)
    assert not scan.is_odd


def test_extensions_and_trailers_belong_to_the_body() -> None:
    scan = Chunks(begin=0, limit_bytes=1000)
    for length in range(len(_WHOLE)):
        assert scan.end(bytearray(_WHOLE[:length])) is None
    assert scan.end(bytearray(_WHOLE)) == len(_WHOLE)


@pytest.mark.parametrize(
    "nonsense",
    [b"canary\r\n", b"5\r\nhelloXX", b"-1\r\n", b"\r\n", b"5" * 5000, b"0\r\n" + b"x: y" * 2000],
)
def test_what_is_no_chunk_counts_as_an_end_and_as_odd(nonsense: bytes) -> None:
    scan = Chunks(begin=0, limit_bytes=1000)
    assert scan.end(bytearray(nonsense)) == len(nonsense)
    assert scan.is_odd


@pytest.mark.parametrize("size", [b"3e9", b"ffffffff", b"ffffffffffffffff1e", b"f" * 4000, b"fffffffff;ext=1"])
def test_chunk_that_is_longer_than_any_body_is_known_by_its_first_line(size: bytes) -> None:
    scan = Chunks(begin=0, limit_bytes=1000)
    assert scan.end(bytearray(size)) is None
    assert not scan.is_too_large
    assert scan.end(bytearray(size + b"\r\nhello")) is None
    assert scan.is_too_large


@pytest.mark.parametrize("size", [b"3e8", b"00000000000000000005"])
def test_chunk_that_is_no_longer_than_a_body_is_waited_for(size: bytes) -> None:
    scan = Chunks(begin=0, limit_bytes=1000)
    assert scan.end(bytearray(size + b"\r\nhe")) is None
    assert not scan.is_too_large


def test_chunks_without_end_are_not_counted_for_ever() -> None:
    scan, body = Chunks(begin=0, limit_bytes=1000), bytearray(b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n")
    assert scan.end(body) is None
    assert scan.are_too_many
    assert scan._next < len(body) / 2


def test_room_is_given_whole_or_not_at_all() -> None:
    room = Room(10)
    assert room.take(6)
    assert not room.take(5)
    assert room.take(4)
    room.give_back(6)
    assert room.take(5)


@pytest.mark.parametrize(
    "target",
    [
        "/oauth/token",
        "/%6fauth/token",
        "/oauth%2Ftoken",
        "//oauth/token",
        "http://localhost/oauth/token",
        "HTTP://x//oauth/a",
    ],
)
def test_no_more_room_is_held_for_a_form_than_a_form_takes_however_its_address_is_written(target: str) -> None:
    head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    assert longest_body_bytes(head, 2**24) == FORM_LIMIT_BYTES
    assert longest_body_bytes(head, 1000) == 1000


@pytest.mark.parametrize(
    "target", ["/v1/models/oauth/predict", "/v1/models/a%20b/predict", "/oauths/token", "http://oauth/x"]
)
def test_bodies_of_other_addresses_may_be_as_long_as_the_settings_say(target: str) -> None:
    assert longest_body_bytes(f"POST {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 2**24) == 2**24

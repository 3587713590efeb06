"""Attacks on how a token's key is found (RFC 8725 sections 2.9, 3.10)."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from secure_ml_api.auth import key_material
from secure_ml_api.errors import TokenRefused
from support.doormen import Lodge
from support.forging import good_claims, good_header, server_key, signed


def refused(lodge: Lodge, token: str) -> str:
    """The cause for which ``token`` is refused."""
    with pytest.raises(TokenRefused) as caught:
        lodge.authenticator.authenticate(f"Bearer {token}")
    return caught.value.cause


@pytest.fixture
def bait() -> Iterator[socket.socket]:
    """A listening socket that nobody should connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


# What Python tells its audit hooks of whoever looks for something outside of the memory of the process.
OUTWARD = (
    "open",
    "os.listdir",
    "os.scandir",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.sendto",
    "sqlite3.connect",
)


class Watch:
    """What this thread does outside of its memory while it is on; no hook can be taken back, so it rests."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, tuple[Any, ...]]] = []
        self._watched: int | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._watched == threading.get_ident() and event in OUTWARD:
            self.seen.append((event, arguments))

    @contextmanager
    def on(self) -> Iterator[None]:
        self.seen.clear()
        self._watched = threading.get_ident()
        try:
            yield
        finally:
            self._watched = None


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.mark.parametrize(
    "kid",
    [
        "unknown",
        "../../../../etc/passwd",
        "/dev/null",
        "tokens.json",
        "' OR '1'='1",
        "x' UNION SELECT 'secret' --",
        "$(id)",
        "|id",
        "\x00",
        "é",
        "",
        "k" * 200,
        0,
        None,
        ["a"],
        {"a": 1},
        True,
    ],
)
def test_kid_is_looked_up_in_memory_only(lodge: Lodge, watch: Watch, kid: object) -> None:
    token = signed(good_header(lodge) | {"kid": kid}, good_claims(lodge), server_key(lodge))
    with watch.on():
        assert refused(lodge, token) == "unknown_key"
    assert watch.seen == []


def test_watch_sees_files_that_are_opened_and_addresses_that_are_asked(watch: Watch, bait: socket.socket) -> None:
    """Or the test before would hold of a server that does both."""
    with watch.on():
        with open("/dev/null", "rb"):  # noqa: PTH123 — as whoever takes a name for a path would
            pass
        with socket.create_connection(bait.getsockname()):
            pass
    assert {event for event, _ in watch.seen} >= {"open", "socket.connect"}


def test_token_without_kid_is_refused(lodge: Lodge) -> None:
    header = good_header(lodge)
    del header["kid"]
    assert refused(lodge, signed(header, good_claims(lodge), server_key(lodge))) == "unknown_key"


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_key_url_in_the_header_is_never_fetched(lodge: Lodge, bait: socket.socket, name: str) -> None:
    url = f"http://127.0.0.1:{bait.getsockname()[1]}/jwks.json"
    attacker = key_material.generate("EdDSA")
    known = signed(good_header(lodge) | {name: url}, good_claims(lodge), attacker)
    unknown = signed(good_header(lodge) | {name: url, "kid": "theirs"}, good_claims(lodge), attacker)
    assert refused(lodge, known) == "signature"
    assert refused(lodge, unknown) == "unknown_key"
    with pytest.raises(BlockingIOError):
        bait.accept()


def test_key_in_the_header_is_never_used(lodge: Lodge) -> None:
    attacker = key_material.generate("EdDSA")
    jwk: dict[str, Any] = key_material.public_jwk(attacker)
    for extra in ({"jwk": jwk}, {"jwk": jwk | {"kid": good_header(lodge)["kid"]}}, {"x5c": ["MIIB"]}):
        assert refused(lodge, signed(good_header(lodge) | extra, good_claims(lodge), attacker)) == "signature"


def test_next_key_is_accepted_before_it_signs(lodge: Lodge) -> None:
    """Its tokens may come from a machine that rotated a moment earlier."""
    token_before = lodge.token()
    lodge.stores.ring.rotate()
    token_after = lodge.token()
    for token in (token_before, token_after):
        assert lodge.authenticator.authenticate(f"Bearer {token}").client_id == lodge.client.client_id


def test_key_that_was_retired_at_once_is_refused(lodge: Lodge) -> None:
    token = lodge.token()
    lodge.stores.ring.retire(lodge.stores.ring.signing_key().kid, immediately=True)
    assert refused(lodge, token) == "unknown_key"
    assert lodge.authenticator.authenticate(f"Bearer {lodge.token()}").client_id == lodge.client.client_id

"""What a new connection passes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from secure_ml_api.server.doorway import Doorway
from secure_ml_api.setting_sections import ServerSettings

SERVER = ("127.0.0.1", 8000)


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Visitors:
    """Connections that ask ``doorway`` for admission."""

    def __init__(self, sockets: ExitStack, **limits: Any) -> None:
        self.doorway = Doorway(ServerSettings(**limits), None)
        self._sockets = sockets

    def come(self, address: str, server: tuple[str, int] = SERVER) -> bool:
        mine, _ = (self._sockets.enter_context(each) for each in socket.socketpair())
        admitted = self.doorway.admit(mine, (address, 4711), server)
        assert admitted in (mine, None)
        assert (mine.fileno() < 0) == (admitted is None), "a connection that is turned away is closed"
        return admitted is not None

    def leave(self, address: str) -> None:
        self.doorway.left((address, 4711), SERVER)


def test_address_gets_as_many_connections_as_it_may_have_and_no_more(sockets: ExitStack) -> None:
    visitors = Visitors(sockets, connections_per_address=2)
    assert [visitors.come("192.0.2.1") for _ in range(4)] == [True, True, False, False]


def test_addresses_do_not_take_from_each_other(sockets: ExitStack) -> None:
    visitors = Visitors(sockets, connections_per_address=1)
    assert [visitors.come(f"192.0.2.{number}") for number in range(3)] == [True, True, True]


def test_closed_connection_makes_room_for_another(sockets: ExitStack) -> None:
    visitors = Visitors(sockets, connections_per_address=1)
    for _ in range(3):
        assert visitors.come("192.0.2.1")
        assert not visitors.come("192.0.2.1")
        visitors.leave("192.0.2.1")


def test_network_of_ipv6_addresses_counts_as_one(sockets: ExitStack) -> None:
    visitors = Visitors(sockets, connections_per_address=1)
    assert visitors.come("2001:db8::1")
    assert not visitors.come("2001:db8::2")
    assert visitors.come("2001:db8:0:1::1")


def test_ports_are_counted_apart(sockets: ExitStack) -> None:
    visitors = Visitors(sockets, connections_per_address=1)
    assert visitors.come("192.0.2.1")
    assert visitors.come("192.0.2.1", ("127.0.0.1", 9464))


@pytest.mark.parametrize("limits", [{"connections_per_address": 0}, {"trusted_proxies": "192.0.2.0/24"}])
def test_nobody_is_counted_without_a_limit_and_trusted_proxies_never_are(
    sockets: ExitStack, limits: dict[str, Any]
) -> None:
    visitors = Visitors(sockets, **{"connections_per_address": 1, **limits})
    assert all(visitors.come("192.0.2.1") for _ in range(3))
    visitors.leave("192.0.2.1")

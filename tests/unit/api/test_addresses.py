"""The client's address: what trusted proxies say, and nothing that anyone else says."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.api.addresses import Addresses
from secure_ml_api.errors import SettingsError

BEHIND = Addresses(["10.0.0.0/8", "2001:db8:ffff::/48"])


def test_without_trusted_proxies_the_header_is_never_believed() -> None:
    assert Addresses([]).client("10.0.0.1", "192.0.2.1") == "10.0.0.1"


def test_a_stranger_is_not_believed() -> None:
    assert BEHIND.client("198.51.100.1", "192.0.2.1") == "198.51.100.1"


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
        ("203.0.113.9,192.0.2.1,10.0.0.7,2001:db8:ffff::1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("10.0.0.9", "10.0.0.9"),
        ("10.0.0.9, 10.0.0.8", "10.0.0.9"),
        ("", "10.0.0.1"),
        (None, "10.0.0.1"),
        ("garbage", "10.0.0.1"),
        ("192.0.2.1, garbage", "10.0.0.1"),
        ("192.0.2.1, ", "10.0.0.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_last_address_that_no_trusted_proxy_owns_is_the_client(header: str | None, client: str) -> None:
    assert BEHIND.client("10.0.0.1", header) == client


def test_a_trusted_proxy_is_known_in_either_notation() -> None:
    assert BEHIND.client("::ffff:10.0.0.1", "192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize("peer", ["", "unix:", "not an address"])
def test_a_peer_without_an_address_is_unknown(peer: str) -> None:
    assert BEHIND.client(peer, "192.0.2.1") == "unknown"


@pytest.mark.parametrize("proxy", ["10.0.0.1/8", "proxy.example", "", "10.0.0.0/33"])
def test_a_proxy_that_is_no_network_is_refused_by_its_key(proxy: str) -> None:
    with pytest.raises(SettingsError, match=r"server\.trusted_proxies"):
        Addresses([proxy])


_HOPS = st.ip_addresses().map(str) | st.sampled_from(["10.0.0.1", "fe80::1%eth0", "::ffff:10.1.1.1", "1.2.3.4:80"])


@given(st.text() | _HOPS, st.none() | st.text() | st.lists(_HOPS | st.text()).map(",".join))
def test_any_header_gives_an_address_or_unknown(peer: str, header: str | None) -> None:
    client = BEHIND.client(peer, header)
    if client != "unknown":
        ip_address(client)


@given(st.text())
def test_what_stands_left_of_the_clients_address_changes_nothing(left: str) -> None:
    assert BEHIND.client("10.0.0.1", f"{left},192.0.2.77,10.0.0.2") == "192.0.2.77"


@pytest.mark.parametrize("hop", ["192.0.2.9:4711", "[2001:db8::9]:4711", "192.0.2.9"])
def test_a_port_behind_a_forwarded_address_is_left_out(hop: str) -> None:
    expected = "2001:db8::9" if "[" in hop else "192.0.2.9"
    assert Addresses(["10.0.0.0/8"]).client("10.0.0.1", hop) == expected

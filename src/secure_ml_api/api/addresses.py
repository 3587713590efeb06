"""Whose request it is, when proxies stand in between."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from ..errors import SettingsError


class Addresses:
    """Finds the client's address: the peer's, or the last one in ``X-Forwarded-For`` that no trusted proxy owns."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        try:
            self._trusted = tuple(ip_network(proxy) for proxy in trusted_proxies)
        except ValueError as error:
            raise SettingsError(f"server.trusted_proxies: {error}") from None

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """The client's address, for limits and logs; ``unknown`` for the peer of a Unix socket."""
        if not forwarded_for or not self._trusted:
            return _plain(peer)
        return self._behind_proxies(peer, forwarded_for)

    def _behind_proxies(self, peer: str, forwarded_for: str) -> str:
        address = peer
        for hop in reversed(forwarded_for.split(",")):
            if not self._is_trusted(address):
                break
            address = _without_port(hop.strip())
        return str(_parse(address) or _parse(peer) or "unknown")

    def _is_trusted(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


@lru_cache(maxsize=8192)
def _plain(peer: str) -> str:
    return str(_parse(peer) or "unknown")


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


def _without_port(hop: str) -> str:
    """Some proxies write ``192.0.2.1:4711`` or ``[2001:db8::1]:4711``."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop

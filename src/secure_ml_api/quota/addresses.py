"""Under which subject the requests of an address are counted."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address


@lru_cache(maxsize=8192)
def address_subject(address: str) -> str:
    """The subject of ``address``: an IPv4 address itself, an IPv6 one by its /64 network.

    Whoever has one IPv6 address has 2⁶⁴ of them, so counting single ones would limit nobody and fill the store.
    Anything that is no address (a Unix socket's peer) is one subject together.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "address:unknown"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            return f"address:{IPv6Network((parsed, 64), strict=False)}"
        parsed = parsed.ipv4_mapped
    return f"address:{parsed}"

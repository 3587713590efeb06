"""Whether strangers reach the server with nothing in between: slow clients and open text are what a proxy is for."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from ..setting_sections import ServerSettings


def exposure(server: ServerSettings) -> str | None:
    """What an operator should be warned of when ``server`` listens where strangers may reach it; None when all is well.

    An address of every interface counts as public: which of them are, the machine does not know. A proxy is taken to
    be there when ``trusted_proxies`` names one, and not asked for where the server speaks TLS itself.
    """
    if server.trusted_proxies or server.tls_certificate or not _is_public(server.host):
        return None
    return (
        f"server.host {server.host or '(all)'} may be a public address, in plain HTTP and with no proxy named: put a "
        "buffering proxy in front and name it in server.trusted_proxies, or set server.tls_certificate"
    )


def _is_public(host: str) -> bool:
    return any(not _is_inner(address) for address in _addresses(host))


def _is_inner(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    return not address.is_unspecified and (address.is_private or address.is_loopback or address.is_link_local)


def _addresses(host: str) -> set[str]:
    """What ``host`` stands for; nothing when nobody knows, which is found fault with where its port is opened."""
    if not host:
        return {"0.0.0.0"}  # noqa: S104 — nothing is bound here
    try:
        return {str(ip_address(host))}
    except ValueError:
        pass
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()

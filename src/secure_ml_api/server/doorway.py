"""What a new connection passes before anything of it is read: how many its address has, and the beginning of TLS."""

from __future__ import annotations

import logging
from collections import Counter
from ipaddress import ip_address, ip_network
from socket import socket
from typing import Any

from ..quota.addresses import address_subject
from ..setting_sections import ServerSettings
from ..telemetry.metrics import Metrics
from .certificates import Certificates

logger = logging.getLogger(__name__)


class Doorway:
    """Admits connections to one worker; used on one thread."""

    def __init__(self, limits: ServerSettings, certificates: Certificates | None) -> None:
        self._limit = limits.connections_per_address
        self._trusted = tuple(ip_network(proxy) for proxy in limits.trusted_proxies)
        self._metrics_port = limits.metrics_port
        self._certificates = certificates
        self._open: Counter[tuple[str, int]] = Counter()
        self._metrics = Metrics()

    def admit(self, sock: socket, client: Any, server: Any) -> socket | None:
        """The socket to speak HTTP on; None, and ``sock`` closed, for one connection too many from an address."""
        counted = self._counted(client, server)
        if counted is not None:
            if self._open[counted] >= self._limit:
                self.crowded()
                sock.close()
                return None
            self._open[counted] += 1
        if self._certificates is None or server[1] == self._metrics_port:
            return sock
        sock.setblocking(False)
        try:
            return self._certificates.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:  # the client has gone already
            sock.close()
            self.left(client, server)
            return None

    def left(self, client: Any, server: Any) -> None:
        """A connection that was admitted is closed."""
        counted = self._counted(client, server)
        if counted is None:
            return
        self._open[counted] -= 1
        if self._open[counted] <= 0:
            del self._open[counted]

    def crowded(self) -> None:
        """Count a connection that was closed because there are too many."""
        self._metrics.rejected("connections")

    def shaking_failed(self, client: Any, why: str) -> None:
        """Count and log a TLS handshake that failed."""
        self._metrics.rejected("tls_handshake")
        logger.info("a TLS handshake failed", extra={"address": client[0], "reason": why})

    def _counted(self, client: Any, server: Any) -> tuple[str, int] | None:
        """Under what a connection is counted, for each port apart; None when it is not."""
        if not self._limit:
            return None
        if self._trusted and any(ip_address(client[0]) in network for network in self._trusted):
            return None
        return address_subject(client[0]), server[1]

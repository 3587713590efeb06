"""Whether the ports of the settings are free, asked before anything expensive is done."""

from __future__ import annotations

import errno
import socket

from ..errors import OperatorError
from ..setting_sections import ServerSettings


def check_ports(server: ServerSettings) -> None:
    """Raises OperatorError naming the first port that cannot be listened on."""
    if server.port == server.metrics_port:
        raise OperatorError(f"server.port and server.metrics_port are both {server.port}; they must differ")
    for name, option, port in (
        ("server.port", "--port", server.port),
        ("server.metrics_port", "--metrics-port", server.metrics_port),
    ):
        complaint = port_complaint(server.host, port)
        if complaint:
            raise OperatorError(f"{name}: {server.host} port {port} {complaint}; choose another with {option}")


def port_complaint(host: str, port: int) -> str | None:
    """What keeps this process from listening there, or None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            return "is taken" if taken else f"cannot be used ({error.strerror or error})"
    return None

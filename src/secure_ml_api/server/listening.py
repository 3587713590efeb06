"""The end of listening: no connection is made that nobody will take."""

from __future__ import annotations

import ctypes
import logging
import socket
import struct
from typing import Any

logger = logging.getLogger(__name__)

_SO_ATTACH_FILTER = 26
# A classic BPF program of one instruction, "return 0": drop every packet.
_DROP_EVERYTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)


def stop_handshakes(listener: Any) -> None:
    """Let the kernel make no more connections on ``listener``, while those that it has made can still be accepted.

    Closing a listening socket resets the connections that wait on it, and between the last accept and the close there
    is always time for one more. With this filter their first packet is dropped, the client repeats it a second later
    and finds the port closed. For every process that shares the socket, and for good: only when the server stops.
    """
    program = ctypes.create_string_buffer(_DROP_EVERYTHING)
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))
    except OSError as error:
        logger.debug("the kernel takes no filter: %s", error.strerror)

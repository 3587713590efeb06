"""A listening socket: taking connections from it, and its end, after which none is made that nobody will take."""

from __future__ import annotations

import ctypes
import errno
import logging
import socket
import struct
from typing import Any

logger = logging.getLogger(__name__)

_SO_ATTACH_FILTER = 26
# A classic BPF program of one instruction, "return 0": drop every packet.
_DROP_EVERYTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)
_PASSING = frozenset({errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.EPERM})
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class NoRoom(Exception):
    """This process or the machine can hold no more sockets for now."""


def next_connection(listener: Any) -> tuple[socket.socket, Any] | None:
    """The next connection and its client's address; None when none waits. Raises NoRoom."""
    while True:
        try:
            sock, client = listener.accept()
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _SHORTAGES:
                raise NoRoom(error.strerror) from None
            if error.errno not in _PASSING:
                raise
            # The client has gone before it was taken; others may wait behind it.
        else:
            return sock, client


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

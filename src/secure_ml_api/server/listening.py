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
# How long a connection may take that the kernel has begun to make: a round trip to a client far away.
HANDSHAKE_SECONDS = 0.25
# A classic BPF program (linux/filter.h) over the TCP header, RFC 9293 section 3.1: a packet that begins a connection,
# with SYN and without ACK among the flags of byte 13, is dropped; all others pass.
_DROP_BEGINNINGS = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load byte 13
        (0x54, 0, 0, 0x12),  # of it, ACK and SYN
        (0x15, 0, 1, 0x02),  # SYN alone: the next, else the one after
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFFFFFF),  # pass
    )
)
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
    """Let the kernel begin no more connections on ``listener``, while those that it has begun can still be accepted.

    Closing a listening socket resets the connections that wait on it and those that are half made, and between the
    last accept and the close there is always time for one more. With this filter their first packet is dropped, the
    client repeats it a second later and finds the port closed. Who closes after ``HANDSHAKE_SECONDS`` has given those a
    connection whose first packet came before. For every process that shares the socket, and for good: only when the
    server stops.
    """
    program = ctypes.create_string_buffer(_DROP_BEGINNINGS)
    length = len(_DROP_BEGINNINGS) // 8
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", length, ctypes.addressof(program)))
    except OSError as error:
        logger.debug("the kernel takes no filter: %s", error.strerror)

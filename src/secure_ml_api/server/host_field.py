"""Which requests name their host as HTTP/1.1 wants it (RFC 9112, section 3.2): one rule for every reader of requests.

Nothing here is decided by the host; but a request that names none, or something that is no host, means one thing to a
proxy in front and another to what stands behind it.
"""

from __future__ import annotations

import re

# A host of RFC 3986 (names as general as they may be, none at all included), and a port. Nothing is tried twice, so a
# field of any length costs microseconds.
_HOST = re.compile(
    r"(?:\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\]"
    r"|(?:[A-Za-z0-9._~!$&'()*+,;=-]++|%[0-9A-Fa-f]{2})*+)(?::[0-9]*+)?"
)


def names_its_host(host: str | None, *, needs_one: bool = True) -> bool:
    """Whether ``host``, the value of the only ``Host`` field, is one; None where there is no such field.

    Requests of HTTP/1.0 need none.
    """
    return not needs_one if host is None else _HOST.fullmatch(host) is not None

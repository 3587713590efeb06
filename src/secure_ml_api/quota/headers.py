"""The response fields ``RateLimit-Policy`` and ``RateLimit``, as draft-ietf-httpapi-ratelimit-headers-11 writes them.

Both are lists of structured fields (RFC 9651), one member per quota, named by a string:

    RateLimit-Policy: "requests";q=600;w=60, "rows";q=100000;qu="rows";w=60
    RateLimit: "requests";r=599;t=60, "rows";r=99840;t=60

``q`` is the quota of a window of ``w`` seconds in units ``qu``, ``requests`` when it is left out; ``r`` is what is left
of it for the next ``t`` seconds. The draft's registry knows no unit for rows. They are named all the same: a client
that does not know the unit then leaves the policy alone instead of taking rows for requests.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache

from .standings import Standing

_UNITS = {"rows": ';qu="rows"'}


def ratelimit_headers(standings: Sequence[Standing], partition_key: bytes = b"") -> dict[str, str]:
    """Both fields for ``standings``, none when there are none; ``partition_key`` is sent as ``pk`` when it is given."""
    if not standings:
        return {}
    key = f";pk=:{b64encode(partition_key).decode()}:" if partition_key else ""
    policy = ", ".join([_policy(name, limit, window) + key for name, limit, window, _, _ in standings])
    limits = ", ".join([f'"{name}";r={left};t={reset}{key}' for name, _, _, left, reset in standings])
    return {"RateLimit-Policy": policy, "RateLimit": limits}


@lru_cache(maxsize=4096)
def _policy(name: str, limit: int, window_seconds: int) -> str:
    return f'"{name}";q={limit}{_UNITS.get(name, "")};w={window_seconds}'

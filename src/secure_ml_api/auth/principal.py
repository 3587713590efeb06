"""The caller, once a token proved who it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller and what it may do right now; ``requests`` and ``rows`` are rates such as ``600/minute``."""

    client_id: str
    scopes: frozenset[str]
    token_id: str
    expires_at: int
    requests: str
    rows: str
    concurrency: int

"""Tokens of this process whose signature was checked already, found again by digest.

A signature costs some 300 µs to check, and a client sends the same token for minutes. What is kept is what the token
says. Whether it still stands is not for this cache to say. A token is found only while the very key that verified it is
still trusted, and never past its end.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from .claims import Claims

_MOST = 16_384


@dataclass(slots=True)
class Verified:
    """A token whose signature was right; ``noted`` is for whoever wants to remember more about it, and starts empty."""

    claims: Claims
    kid: str
    key: object
    noted: Any = None


class VerifiedTokens:
    """At most ``most`` tokens, the longest kept first to go; safe to build before a fork and to share by threads."""

    def __init__(
        self,
        trusted_key: Callable[[str, str], object | None],
        most: int = _MOST,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``trusted_key`` maps issuer and kid to the key that is trusted right now, from memory."""
        self._trusted_key = trusted_key
        self._most = most
        self._now = now
        self._kept: dict[bytes, Verified] = {}
        self._lock = Lock()

    def find(self, token: str) -> Verified | None:
        """``token``, if it was verified before and its key is trusted still."""
        digest = _digest(token)
        verified = self._kept.get(digest)
        if verified is None:
            return None
        claims = verified.claims
        if claims.expires_at > self._now() and self._trusted_key(claims.issuer, verified.kid) is verified.key:
            return verified
        self._kept.pop(digest, None)
        return None

    def keep(self, token: str, kid: str, claims: Claims, key: object | None) -> None:
        """Remember that ``token`` was verified with ``key``; nothing is kept of one that has ended."""
        if key is None or claims.expires_at <= self._now():
            return
        with self._lock:
            while len(self._kept) >= self._most:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[_digest(token)] = Verified(claims, kid, key)

    def forget_ended(self) -> None:
        """Let go of tokens that have ended; for the housekeeping of a worker."""
        now = self._now()
        with self._lock:
            ended = [digest for digest, verified in tuple(self._kept.items()) if verified.claims.expires_at <= now]
            for digest in ended:
                self._kept.pop(digest, None)

    def __len__(self) -> int:
        return len(self._kept)


def _digest(token: str) -> bytes:
    # surrogateescape: header bytes beyond ASCII reach Python in more than one form, and none of them is a token.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()

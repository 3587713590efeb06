"""Client secrets: made here, shown once, kept as argon2id hashes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from ..errors import Overloaded

SECRET_BYTES = 32
_SECRET_CHARACTERS_LIMIT = 128
_WAIT_SECONDS = 2.0
_MOST_WAITING = 16

_TOO_MANY = "too many clients are proving their secrets at once"

# OWASP's password storage cheat sheet: argon2id with 46 MiB, one pass, one lane. Some 40 ms of one CPU.
_MEMORY_KIB, _PASSES, _LANES = 47104, 1, 1

# The hash of a random secret that nobody kept, under the parameters above: what an unknown client is compared with.
_NOBODYS_HASH = "$argon2id$v=19$m=47104,t=1,p=1$4gzeil5Tc+HkEF9y/e13mg$NcIQa7nUgYegnuJ6oW525MZtH1/uan77GDKhAJreel0"


def new_secret() -> str:
    """256 random bits as 43 URL-safe characters."""
    return secrets.token_urlsafe(SECRET_BYTES)


class SecretHasher:
    """Argon2id, at most ``concurrency`` computations at once: each takes 46 MiB and a CPU.

    At most ``most_waiting`` more callers wait for one: each holds a thread, and those belong to predictions first.
    """

    def __init__(
        self, concurrency: int, wait_seconds: float = _WAIT_SECONDS, most_waiting: int = _MOST_WAITING
    ) -> None:
        self._hasher = PasswordHasher(_PASSES, _MEMORY_KIB, _LANES, hash_len=32, salt_len=16, type=Type.ID)
        self._slots = BoundedSemaphore(concurrency)
        self._line = BoundedSemaphore(concurrency + most_waiting)
        self._wait_seconds = wait_seconds

    def hash(self, secret: str) -> str:
        """The encoded hash of ``secret``; raises Overloaded when no computation may start in time."""
        with self._slot():
            return self._hasher.hash(secret)

    def matches(self, stored: str | None, secret: str) -> bool:
        """Whether ``secret`` hashes to ``stored``, compared in constant time; raises Overloaded as ``hash``.

        Without a stored hash the same work is done for nothing, so that an unknown client costs what a known one does.
        """
        with self._slot():
            try:
                # A longer text cannot be a secret of ours, but the work is done all the same.
                self._hasher.verify(stored or _NOBODYS_HASH, secret[:_SECRET_CHARACTERS_LIMIT])
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None and len(secret) <= _SECRET_CHARACTERS_LIMIT

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._line.acquire(blocking=False):
            raise Overloaded(_TOO_MANY)
        try:
            if not self._slots.acquire(timeout=self._wait_seconds):
                raise Overloaded(_TOO_MANY)
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._line.release()

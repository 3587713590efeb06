"""The keys that sign tokens: one active, the next one published ahead, retiring ones until their last token ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jwt import PyJWK, PyJWTError

from ..errors import KeyFileError, OperatorError
from . import key_files, key_material
from .key_state import Key, SigningKey, Status, read_keys, stamp_of, verifying_keys, write_keys

_STATE_FILE = "tokens.json"
# Past the end of the last token: other workers notice a rotation within seconds, and clocks differ.
_RETIRING_MARGIN_SECONDS = 120
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class _Loaded:
    stamp: tuple[int, int, int]
    keys: tuple[Key, ...]
    verifying: dict[str, PyJWK]
    ends: dict[str, int]
    signing: SigningKey


class KeyRing:
    """The keys in ``directory``; ``algorithm`` is that of keys made from now on.

    ``lifetime_seconds`` is the longest life of a token: a retiring key is accepted that long, and a little more.
    Nothing is read before the first use.
    """

    def __init__(
        self, directory: Path, algorithm: str, lifetime_seconds: int, now: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._algorithm = algorithm
        self._lifetime_seconds = lifetime_seconds
        self._now = now
        self._loaded: _Loaded | None = None

    def create(self) -> bool:
        """Make the first keys, one active and one next; False, and nothing done, where there are keys already."""
        key_files.make_directory(self._directory)
        with key_files.locked(self._directory):
            if self._state_path.exists():
                return False
            self._store([self._generate("active"), self._generate("next")])
        return True

    def rotate(self) -> Key:
        """Sign with the next key from now on and keep accepting the one before; the new active key."""
        with key_files.locked(self._directory):
            keys = [self._retiring(key) if key.status == "active" else key for key in self._read()]
            return self._store(self._staffed(keys))

    def retire(self, kid: str, *, immediately: bool = False) -> Key:
        """Sign with ``kid`` no more; ``immediately`` also refuses every token it ever signed. The active key after it.

        Raises OperatorError when there is no such key.
        """
        with key_files.locked(self._directory):
            keys = self._read()
            if all(key.kid != kid for key in keys):
                raise OperatorError(f"there is no key {kid}: `secure-ml-api keys list` shows the keys")
            if immediately:
                return self._store(self._staffed([key for key in keys if key.kid != kid]))
            return self._store(self._staffed([self._retiring(key) if key.kid == kid else key for key in keys]))

    def list(self) -> tuple[Key, ...]:
        """All keys that are accepted: the next, the active and the retiring ones. Raises KeyFileError."""
        return tuple(key for key in self._current().keys if self._holds(key))

    def jwks(self) -> dict[str, Sequence[dict[str, str]]]:
        """The JWK Set to publish; raises KeyFileError."""
        return {"keys": [key.published() for key in self.list()]}

    def signing_key(self) -> SigningKey:
        """The key to sign with now; raises KeyFileError."""
        return self._current().signing

    def verifying_key(self, kid: str) -> PyJWK | None:
        """The public key called ``kid``, bound to its algorithm; looked up in memory only. Raises KeyFileError."""
        loaded = self._loaded or self._current()
        end = loaded.ends.get(kid)
        return loaded.verifying.get(kid) if end is None or end > self._now() else None

    def reload(self) -> bool:
        """Read the keys again if the state file changed since; True when it had. Raises KeyFileError.

        When reading fails the keys read before go on, so a half-done repair by hand locks nobody out.
        """
        if self._loaded is not None and self._loaded.stamp == stamp_of(self._state_path):
            return False
        self._loaded = self._load()
        return True

    @property
    def _state_path(self) -> Path:
        return self._directory / _STATE_FILE

    def _private_path(self, kid: str) -> Path:
        return self._directory / f"token-{kid}.pem"

    def _current(self) -> _Loaded:
        loaded = self._loaded
        if loaded is None:
            loaded = self._loaded = self._load()
        return loaded

    def _holds(self, key: Key) -> bool:
        return key.retire_after is None or key.retire_after > self._now()

    def _retiring(self, key: Key) -> Key:
        end = int(self._now()) + self._lifetime_seconds + _RETIRING_MARGIN_SECONDS
        return replace(key, status="retiring", retire_after=key.retire_after or end)

    def _staffed(self, keys: Iterable[Key]) -> Sequence[Key]:
        """``keys`` without the ended ones, and with an active and a next key among them."""
        staffed = [key for key in keys if self._holds(key)]
        if all(key.status != "active" for key in staffed):
            place = next((place for place, key in enumerate(staffed) if key.status == "next"), None)
            if place is None:
                staffed.append(self._generate("active"))
            else:
                staffed[place] = replace(staffed[place], status="active")
        if all(key.status != "next" for key in staffed):
            staffed.append(self._generate("next"))
        return staffed

    def _generate(self, status: Status) -> Key:
        private = key_material.generate(self._algorithm)
        jwk = key_material.public_jwk(private)
        kid = key_material.key_id(jwk)
        key_files.write_private(self._private_path(kid), key_material.to_pem(private))
        return Key(kid, self._algorithm, status, int(self._now()), None, jwk)

    def _store(self, keys: Sequence[Key]) -> Key:
        """Write the state, then delete private keys that sign no more: a retiring key needs its public half only."""
        write_keys(self._state_path, keys)
        kept = {self._private_path(key.kid) for key in keys if key.status != "retiring"}
        for path in self._directory.glob("token-*.pem"):
            if path not in kept:
                path.unlink(missing_ok=True)
        self._loaded = None
        return next(key for key in keys if key.status == "active")

    def _read(self) -> Sequence[Key]:
        key_files.require_private(self._directory, "700")
        return read_keys(self._state_path)

    def _load(self) -> _Loaded:
        for attempt in range(_ATTEMPTS):
            stamp = stamp_of(self._state_path)
            keys = tuple(self._read())
            try:
                ends = {key.kid: key.retire_after for key in keys if key.retire_after is not None}
                return _Loaded(stamp, keys, verifying_keys(keys), ends, self._signing(keys))
            except KeyFileError:
                # A rotation deletes a private key after it wrote the state: read the state again before complaining.
                if attempt == _ATTEMPTS - 1 or stamp == stamp_of(self._state_path):
                    raise
        raise AssertionError("unreachable")

    def _signing(self, keys: Sequence[Key]) -> SigningKey:
        active = next((key for key in keys if key.status == "active"), None)
        if active is None:
            raise KeyFileError(f"{self._state_path} names no active key: run `secure-ml-api keys rotate`")
        path = self._private_path(active.kid)
        content = key_files.read_private(path)
        try:
            private = key_material.from_pem(content)
            if key_material.public_jwk(private) != active.jwk:
                raise KeyFileError(f"{path} is not the key that {_STATE_FILE} lists: restore both from one backup")
            return SigningKey(active.kid, active.alg, key_material.signing_jwk(private, active.alg))
        except (ValueError, PyJWTError) as error:
            raise KeyFileError(
                f"{path} is damaged: restore it, or run `secure-ml-api keys retire {active.kid}`"
            ) from error

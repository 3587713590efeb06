"""Keys of outside issuers: read in the background from where settings say, never because a token says so."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPSHandler, OpenerDirector, Request

from jwt import PyJWK, PyJWTError

from ..access_sections import OutsideIssuer
from ..errors import SettingsError
from ..telemetry.trace_context import Outgoing, untraced
from .key_material import verifying_jwk

log = logging.getLogger(__name__)

DOCUMENT_LIMIT_BYTES = 256 * 1024
KEYS_LIMIT = 100
_TIMEOUT_SECONDS = 5.0
_RETRY_SECONDS = 10.0
_RSA_MINIMUM_BITS = 2048
_KINDS = {"EdDSA": ("OKP", "Ed25519"), "ES256": ("EC", "P-256"), "RS256": ("RSA", None)}


class OutsideIssuers:
    """The issuers that settings name, and the keys each was last seen with.

    Safe to build before a fork: files are read by ``start``, and URLs by a thread that it starts. Raises SettingsError
    for a location that is neither a path nor an https URL, and for an issuer named twice.
    """

    def __init__(self, issuers: Sequence[OutsideIssuer], outgoing: Outgoing = untraced) -> None:
        self._outgoing = outgoing
        self.issuers = {issuer.issuer: issuer for issuer in issuers}
        if len(self.issuers) != len(issuers):
            raise SettingsError("tokens.outside_issuers: an issuer is named twice")
        for issuer in issuers:
            scheme = urlsplit(issuer.jwks).scheme
            if "://" in issuer.jwks and scheme != "https":
                raise SettingsError(
                    f"tokens.outside_issuers: the jwks of {issuer.issuer} is not an https:// URL or a path"
                )
        self._keys: dict[str, Mapping[str, PyJWK]] = {}
        self._lock = Lock()
        self._readers: tuple[int, Event] | None = None

    def start(self) -> None:
        """Begin to read the keys, in this process, and go on every ``refresh_seconds``; a second call does nothing."""
        with self._lock:
            if not self.issuers or (self._readers is not None and self._readers[0] == os.getpid()):
                return
            stopped = Event()
            self._readers = (os.getpid(), stopped)
        for issuer in self.issuers.values():
            Thread(target=self._keep_reading, args=(issuer, stopped), name="jwks", daemon=True).start()

    def stop(self) -> None:
        """End the reading; the keys stay."""
        with self._lock:
            readers, self._readers = self._readers, None
        if readers is not None:
            readers[1].set()

    def verifying_key(self, issuer: str, kid: str) -> PyJWK | None:
        """The key of ``issuer`` called ``kid``, from memory only."""
        return self._keys.get(issuer, {}).get(kid)

    def refresh(self, issuer: OutsideIssuer) -> None:
        """Read the keys of one issuer now. Raises OSError or ValueError, and keeps the keys it had."""
        self._keys[issuer.issuer] = read_key_set(_read_document(issuer.jwks, self._outgoing), issuer.algorithms)

    def _keep_reading(self, issuer: OutsideIssuer, stopped: Event) -> None:
        while not stopped.is_set():
            try:
                self.refresh(issuer)
                pause = issuer.refresh_seconds
            except Exception as error:  # noqa: BLE001 - whatever an issuer's server sends, its keys are read again
                log.warning(
                    "the keys of the outside issuer %s cannot be read (%s)", issuer.issuer, type(error).__name__
                )
                pause = min(issuer.refresh_seconds, _RETRY_SECONDS)
            stopped.wait(pause)


def read_key_set(document: bytes, algorithms: Sequence[str]) -> dict[str, PyJWK]:
    """The keys of a JWK Set that may verify signatures under ``algorithms``, by ``kid``.

    Left out: keys without ``kid``, for another ``use`` or ``key_ops``, with an ``alg`` that is not accepted or does
    not fit the key, symmetric keys, and RSA below 2048 bits. Raises ValueError when the document is no JWK Set, names a
    ``kid`` twice, or has no key left.
    """
    try:
        parsed = json.loads(document)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    listed = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(listed, list) or len(listed) > KEYS_LIMIT:
        raise ValueError("not a JWK Set")
    keys: dict[str, PyJWK] = {}
    for jwk in listed:
        algorithm = _algorithm(jwk, algorithms) if isinstance(jwk, dict) else None
        if algorithm is None:
            continue
        if jwk["kid"] in keys:
            raise ValueError("a kid twice")
        try:
            key = verifying_jwk(jwk, algorithm)
        except PyJWTError:
            continue
        if algorithm != "RS256" or key.key.key_size >= _RSA_MINIMUM_BITS:
            keys[jwk["kid"]] = key
    if not keys:
        raise ValueError("no usable key")
    return keys


def _algorithm(jwk: Mapping[str, Any], accepted: Sequence[str]) -> str | None:
    """The one algorithm that ``jwk`` verifies, or None when it is not for verifying tokens of this issuer."""
    operations = jwk.get("key_ops")
    if not isinstance(jwk.get("kid"), str) or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        return None
    for algorithm in accepted:
        kind, curve = _KINDS[algorithm]
        if jwk.get("kty") == kind and jwk.get("crv") == curve and jwk.get("alg", algorithm) == algorithm:
            return algorithm
    return None


def _read_document(location: str, outgoing: Outgoing) -> bytes:
    if location.startswith("https://"):
        with outgoing("read keys") as headers:
            return _fetch(location, headers)
    with Path(location).open("rb") as file:
        return _bounded(file.read(DOCUMENT_LIMIT_BYTES + 1))


def _fetch(url: str, headers: Mapping[str, str]) -> bytes:
    # An opener with the https handler alone: no redirects, no proxies from the environment, no other scheme.
    opener = OpenerDirector()
    opener.add_handler(HTTPSHandler())
    request = Request(url, headers={"Accept": "application/jwk-set+json, application/json", **headers})  # noqa: S310  # https, see above
    answer = opener.open(request, timeout=_TIMEOUT_SECONDS)
    if answer is None:
        raise URLError("not an https URL")
    with answer:
        if answer.status != 200:
            raise URLError(f"status {answer.status}")
        return _bounded(answer.read(DOCUMENT_LIMIT_BYTES + 1))


def _bounded(content: bytes) -> bytes:
    if len(content) > DOCUMENT_LIMIT_BYTES:
        raise ValueError("the document is too long")
    return content

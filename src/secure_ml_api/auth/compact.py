"""A token's text, checked before any cryptography: what fails here costs microseconds."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import TokenMissing, TokenRefused

LIMIT_BYTES = 8192
_TEXT = re.compile(r"[A-Za-z0-9_-]{1,8192}\.[A-Za-z0-9_-]{1,8192}\.[A-Za-z0-9_-]{1,8192}", re.ASCII)
_TYPES = frozenset({"at+jwt", "application/at+jwt"})  # RFC 9068 section 4
_KID = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself; nothing of it is believed before its signature is checked."""

    text: str
    kid: str
    algorithm: str
    issuer: str


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header; raises TokenMissing without one, TokenRefused for a malformed one.

    Two headers arrive joined by a comma, which is no character of a token.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise TokenMissing
    token = token.strip(" ")
    if not token:
        raise TokenRefused("malformed")
    return token


def read_unverified(text: str) -> Unverified:
    """The parts of a token that choose the key it is checked with.

    Raises TokenRefused for a text over LIMIT_BYTES or with a character that no token has, for other than three parts, a
    header with duplicate names, with ``crit``, without a ``kid``, or with a ``typ`` that is not an access token's, and
    for claims that are no JSON object or have duplicate names. Nobody looks at ``jku``, ``x5u``, ``x5c`` and ``jwk``.
    """
    if len(text) > LIMIT_BYTES:
        raise TokenRefused("oversized")
    if _TEXT.fullmatch(text) is None:
        raise TokenRefused("malformed")
    head, body, _ = text.split(".")
    header, claims = _strict_object(head), _strict_object(body)
    if "crit" in header or "b64" in header:
        raise TokenRefused("critical_header")
    kind, kid, algorithm, issuer = header.get("typ"), header.get("kid"), header.get("alg"), claims.get("iss")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise TokenRefused("type")
    if not isinstance(kid, str) or _KID.fullmatch(kid) is None:
        raise TokenRefused("unknown_key")
    if not isinstance(algorithm, str):
        raise TokenRefused("algorithm")
    if not isinstance(issuer, str):
        raise TokenRefused("issuer")
    return Unverified(text, kid, algorithm, issuer)


def _strict_object(part: str) -> dict[str, Any]:
    try:
        content = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        parsed = json.loads(content.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, binascii.Error, RecursionError):
        raise TokenRefused("malformed") from None
    if not isinstance(parsed, dict):
        raise TokenRefused("malformed")
    return parsed


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise ValueError("duplicate name")
    return parsed


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)

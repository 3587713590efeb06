"""The claims of an access token: all required, exact, and of the right type (RFC 9068, RFC 8725)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import TokenRefused

_TEXT_CLAIMS = ("iss", "sub", "client_id", "jti")
_TEXT_LIMIT = 512

CERTIFICATE_MEMBER = "x5t#S256"
"""Of the claim ``cnf``: the SHA-256 thumbprint of a certificate (RFC 8705 section 3.1)."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What tokens of one issuer must say, and where they say their scopes.

    ``audience_in_list`` also takes an ``aud`` that lists several audiences, this one among them, as OpenID Connect
    providers write it.
    """

    issuer: str
    audience: str
    leeway_seconds: int
    scope_claim: str = "scope"
    audience_in_list: bool = False


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says; times are seconds since the epoch.

    ``bound_to`` is the thumbprint of the client certificate without which the token is worth nothing (RFC 8705).
    """

    issuer: str
    audience: str
    subject: str
    client_id: str
    token_id: str
    issued_at: int
    expires_at: int
    scopes: frozenset[str]
    bound_to: str | None = None


def check_claims(claims: Mapping[str, Any], expected: Expected, now: float) -> Claims:
    """The claims of a token whose signature holds; raises TokenRefused naming the first that does not."""
    texts = {name: _text(claims, name) for name in _TEXT_CLAIMS}
    if texts["iss"] != expected.issuer:
        raise TokenRefused("issuer")
    _check_audience(claims.get("aud"), expected)
    if claims.get("type", "access") != "access":
        raise TokenRefused("type")
    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    if expires <= now - expected.leeway_seconds:
        raise TokenRefused("expired")
    if max(issued, _time(claims, "nbf") if "nbf" in claims else 0) > now + expected.leeway_seconds:
        raise TokenRefused("not_yet_valid")
    scopes = _scopes(claims.get(expected.scope_claim, ""))
    return Claims(
        issuer=expected.issuer,
        audience=expected.audience,
        subject=texts["sub"],
        client_id=texts["client_id"],
        token_id=texts["jti"],
        issued_at=int(issued),
        expires_at=int(expires),
        scopes=scopes,
        bound_to=_bound_to(claims),
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_LIMIT or not value.isprintable():
        raise TokenRefused(f"claim_{name}")
    return value


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise TokenRefused(f"claim_{name}")
    return value


def _check_audience(audience: object, expected: Expected) -> None:
    if isinstance(audience, list) and expected.audience_in_list:
        if all(isinstance(one, str) for one in audience) and expected.audience in audience:
            return
    elif audience == expected.audience:
        return
    raise TokenRefused("audience" if audience else "claim_aud")


def _bound_to(claims: Mapping[str, Any]) -> str | None:
    """What the client must prove to hold (RFC 7800); anything but one certificate cannot be proved here."""
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    if not isinstance(confirmation, Mapping) or confirmation.keys() != {CERTIFICATE_MEMBER}:
        raise TokenRefused("confirmation")
    thumbprint = confirmation[CERTIFICATE_MEMBER]
    if not isinstance(thumbprint, str):
        raise TokenRefused("confirmation")
    return thumbprint


def _scopes(value: object) -> frozenset[str]:
    if isinstance(value, str):
        # By the space alone (RFC 6749 section 3.3): other white space of Unicode parts no scopes.
        return frozenset(value.split(" ")) - {""}
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return frozenset(value)
    raise TokenRefused("claim_scope")

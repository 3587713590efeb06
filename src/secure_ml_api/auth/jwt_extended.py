"""The one adapter to Flask-JWT-Extended, which signs and verifies every token; no other file of this room knows Flask.

Left alone the library takes tokens without ``exp`` or ``jti``, any ``typ`` and any size, and its answers tell why. Here
each of its loaders is replaced, the strict checks stand inside its own decoding, and all its refusals are ours: a
view under ``@jwt_required()`` refuses exactly what every other route refuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

import jwt
from flask import Flask, current_app, g, has_request_context, request
from flask_jwt_extended import JWTManager, create_access_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException

from ..errors import SecureMlApiError, TokenMissing, TokenRefused
from .claims import Claims, Expected, check_claims
from .compact import Unverified, bearer_token, read_unverified
from .key_material import ALGORITHMS
from .key_state import SigningKey

TOKEN_TYPE = "at+jwt"


class TrustedKeys(Protocol):
    """Where keys come from: the key ring, and the sets of outside issuers."""

    def signing_key(self) -> SigningKey:
        """The key to sign with now."""

    def verifying_key(self, issuer: str, kid: str) -> jwt.PyJWK | None:
        """The key of ``issuer`` called ``kid``, bound to one algorithm; from memory only."""

    def expected(self, issuer: str) -> Expected | None:
        """What tokens of ``issuer`` must say; None for an issuer that is not trusted."""


class Adapter:
    """Flask-JWT-Extended bound to ``app``: issues tokens of ``issued`` and verifies those of every trusted issuer."""

    def __init__(
        self,
        app: Flask,
        keys: TrustedKeys,
        *,
        issued: Expected,
        lifetime_seconds: int,
        trusted: Sequence[Expected] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._keys = keys
        self._now = now
        self._stands: Callable[[Claims], Any] | None = None
        app.config.update(_configuration(issued, lifetime_seconds, [issued, *trusted]))
        self._manager = _StrictManager(self, app)
        _replace_loaders(self._manager, self)

    def consult(self, stands: Callable[[Claims], Any]) -> None:
        """Let views under ``@jwt_required()`` ask ``stands``, which raises TokenRefused or returns the principal."""
        self._stands = stands

    def issue(self, claims: Mapping[str, Any]) -> str:
        """A signed access token with ``claims`` (``sub``, ``client_id``, ``scope`` …); the rest comes from settings."""
        with self._app.app_context():
            extra = {name: value for name, value in claims.items() if name != "sub"}
            token: str = create_access_token(identity=claims["sub"], additional_claims=extra)
            return token

    def verify(self, token: str) -> Claims:
        """The claims of ``token``; raises TokenRefused. Says nothing of revocation."""
        with self._app.app_context():
            decode_token(token)
            claims: Claims = g.verified_claims
            return claims

    def before_cryptography(self, token: str) -> Unverified:
        """Refuse, without a signature check, a token that cannot be good: text, issuer, key, ``alg``."""
        said = read_unverified(token)
        key = self._keys.verifying_key(said.issuer, said.kid)
        if key is None:
            raise TokenRefused("unknown_key" if self._keys.expected(said.issuer) else "issuer")
        if said.algorithm != key.algorithm_name:
            raise TokenRefused("algorithm")
        return said

    def after_cryptography(self, said: Unverified, payload: Mapping[str, Any]) -> Claims:
        """The checked claims of a token whose signature holds; raises TokenRefused."""
        expected = self._keys.expected(said.issuer)
        if expected is None:
            raise TokenRefused("issuer")
        return check_claims(payload, expected, self._now())

    def principal(self) -> Any:
        """The standing of the token that this request carries; raises TokenRefused."""
        claims: Claims = g.verified_claims
        return self._stands(claims) if self._stands is not None else claims

    def signing_key(self) -> SigningKey:
        """The key of this app context: one token's header and signature come from one key, also during a rotation."""
        if "signing_key" not in g:
            g.signing_key = self._keys.signing_key()
        key: SigningKey = g.signing_key
        return key

    def decoding_key(self, header: Mapping[str, Any], payload: Mapping[str, Any]) -> jwt.PyJWK:
        """The key for a token's header; by now known to exist, unless it was retired this instant."""
        key = self._keys.verifying_key(str(payload.get("iss")), str(header.get("kid")))
        if key is None:
            raise TokenRefused("unknown_key")
        return key


class _StrictManager(JWTManager):
    """The library's manager with our checks inside its decoding, so that no way into it goes around them."""

    def __init__(self, adapter: Adapter, app: Flask) -> None:
        self._adapter = adapter
        super().__init__(app)

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: Any = None, allow_expired: bool = False
    ) -> dict[str, Any]:
        said = self._adapter.before_cryptography(encoded_token)
        try:
            payload: dict[str, Any] = super()._decode_jwt_from_config(encoded_token, csrf_value, False)
        except jwt.ExpiredSignatureError:
            raise TokenRefused("expired") from None
        except jwt.ImmatureSignatureError:
            raise TokenRefused("not_yet_valid") from None
        except jwt.InvalidSignatureError:
            raise TokenRefused("signature") from None
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError, jwt.MissingRequiredClaimError):
            raise TokenRefused("claims") from None
        except (jwt.PyJWTError, JWTExtendedException, ValueError, TypeError):
            raise TokenRefused("malformed") from None
        g.verified_text, g.verified_claims = encoded_token, self._adapter.after_cryptography(said, payload)
        return payload


def _configuration(issued: Expected, lifetime_seconds: int, trusted: Sequence[Expected]) -> dict[str, Any]:
    return {
        "JWT_ALGORITHM": ALGORITHMS[0],  # each signing key brings its own in the header, see the headers loader
        "JWT_DECODE_ALGORITHMS": list(ALGORITHMS),  # the outer fence; each key is bound to exactly one of them
        "JWT_DECODE_ISSUER": frozenset(expected.issuer for expected in trusted),
        "JWT_DECODE_AUDIENCE": [expected.audience for expected in trusted],
        "JWT_DECODE_LEEWAY": issued.leeway_seconds,
        "JWT_ENCODE_ISSUER": issued.issuer,
        "JWT_ENCODE_AUDIENCE": issued.audience,
        "JWT_ENCODE_NBF": False,
        "JWT_ACCESS_TOKEN_EXPIRES": timedelta(seconds=lifetime_seconds),
        "JWT_TOKEN_LOCATION": ["headers"],
        "JWT_COOKIE_CSRF_PROTECT": False,  # no cookie carries a token here
    }


def _replace_loaders(manager: JWTManager, adapter: Adapter) -> None:
    def header_of_one_key(_identity: object) -> dict[str, str]:
        key = adapter.signing_key()
        return {"typ": TOKEN_TYPE, "kid": key.kid, "alg": key.alg}

    def verify_in_request(_header: Mapping[str, Any], _payload: Mapping[str, Any]) -> bool:
        # Refuses a token that came in a second header, a query or a body, wherever a view told the library to look.
        if has_request_context() and bearer_token(request.headers.get("Authorization")) != g.verified_text:
            raise TokenRefused("malformed")
        return True

    manager.additional_headers_loader(header_of_one_key)
    manager.additional_claims_loader(lambda _identity: {})
    manager.user_identity_loader(str)
    manager.encode_key_loader(lambda _identity: adapter.signing_key().jwk)
    manager.decode_key_loader(adapter.decoding_key)
    manager.token_verification_loader(verify_in_request)
    manager.token_in_blocklist_loader(lambda _header, _payload: adapter.principal() is None)
    manager.user_lookup_loader(lambda _header, _payload: adapter.principal())
    manager.unauthorized_loader(lambda _why: _answer(TokenMissing()))
    manager.invalid_token_loader(lambda _why: _answer(TokenRefused("malformed")))
    manager.expired_token_loader(lambda _header, _payload: _answer(TokenRefused("expired")))
    manager.revoked_token_loader(lambda _header, _payload: _answer(TokenRefused("revoked")))
    manager.needs_fresh_token_loader(lambda _header, _payload: _answer(TokenRefused("not_fresh")))
    manager.token_verification_failed_loader(lambda _header, _payload: _answer(TokenRefused("claims")))
    manager.user_lookup_error_loader(lambda _header, _payload: _answer(TokenRefused("client")))


def _answer(error: SecureMlApiError) -> Any:
    """The application's own answer to ``error``: Flask never gives what an error handler raises to another one."""
    return current_app.handle_user_exception(error)

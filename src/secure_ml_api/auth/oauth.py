"""The token endpoints without their HTTP: issue, revoke, introspect (RFC 6749, 7009, 7662).

A form is its pairs in order, so that a parameter that comes twice is seen. Limits by address and by client are the
caller's; so are ``Cache-Control: no-store`` and the status of an OAuthError.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..access_sections import TokensSettings
from ..audit.trail import AuditTrail
from ..errors import TokenRefused
from ..telemetry.client_certificates import current_client_certificate
from .audited_call import AuditedCall
from .authenticator import Authenticator
from .claims import CERTIFICATE_MEMBER, Claims
from .client_authentication import read_credentials, read_form
from .clients import Clients
from .compact import LIMIT_BYTES
from .jwt_extended import Adapter
from .keys import KeyRing
from .metadata import server_metadata
from .oauth_error import OAuthError
from .policy import CLIENTS_ADMIN, common, is_scope, reaches
from .principal import Principal
from .records import ClientRecord
from .revocations import Revocations

Form = Iterable[tuple[str, str]]
INACTIVE: Mapping[str, Any] = {"active": False}


class OAuth:
    """The authorization server: client credentials are its one grant, and there are no refresh tokens."""

    def __init__(
        self,
        settings: TokensSettings,
        *,
        clients: Clients,
        adapter: Adapter,
        authenticator: Authenticator,
        revocations: Revocations,
        ring: KeyRing,
        trail: AuditTrail,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._adapter = adapter
        self._authenticator = authenticator
        self._revocations = revocations
        self._ring = ring
        self._trail = trail

    def issue(
        self, form: Form, authorization: str | None, address: str | None, request_id: str | None = None
    ) -> dict[str, str | int]:
        """The answer to a token request: ``access_token``, ``token_type``, ``expires_in``, ``scope``.

        Raises OAuthError, Overloaded, or StorageUnavailable.
        """
        with self._audited("token.issue", address, request_id) as line:
            parameters = read_form(form)
            client = self._authenticated(line, parameters, authorization)
            if "grant_type" not in parameters:
                raise OAuthError("invalid_request", "grant_type is missing")
            if parameters["grant_type"] != "client_credentials":
                raise OAuthError("unsupported_grant_type", "the only grant is client_credentials")
            scope = " ".join(sorted(_granted(client.scopes, parameters.get("scope"))))
            token_id = str(uuid.uuid4())
            claims = {"sub": client.client_id, "client_id": client.client_id, "scope": scope, "jti": token_id}
            token = self._adapter.issue({**claims, **self._binding()})
            if len(token) > LIMIT_BYTES:  # nobody would take it
                raise OAuthError("invalid_scope", "a token of so many scopes is too long; ask for fewer of them")
            line.details.update(token_id=token_id, scope=scope)
        lifetime = self._settings.lifetime_seconds
        return {"access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": scope}

    def revoke(self, form: Form, authorization: str | None, address: str | None, request_id: str | None = None) -> None:
        """Refuse a token from now on; nothing happens, and nothing is said, for one that is none or ended.

        Raises OAuthError, also for a token of another client; Overloaded; or StorageUnavailable when it could not be
        written, and then it is not revoked.
        """
        with self._audited("token.revoke", address, request_id) as line:
            parameters = read_form(form)
            client = self._authenticated(line, parameters, authorization)
            claims = self._claims(_token(parameters))
            if claims is None:
                line.outcome = "unknown_token"
                return
            if claims.client_id != client.client_id or claims.issuer != self._settings.issuer:
                raise OAuthError("invalid_grant", "the token was issued to another client")
            self._revocations.revoke(claims.token_id, client.client_id, claims.expires_at)
            line.details.update(token_id=claims.token_id)

    def introspect(
        self, form: Form, authorization: str | None, address: str | None, request_id: str | None = None
    ) -> Mapping[str, Any]:
        """What a token is right now, to its own client and to clients with the scope ``clients:admin``.

        Exactly ``{"active": false}`` for every other token. Raises OAuthError, Overloaded, or StorageUnavailable.
        """
        with self._audited("token.introspect", address, request_id) as line:
            parameters = read_form(form)
            client = self._authenticated(line, parameters, authorization)
            claims = self._claims(_token(parameters))
            if claims is None:
                return INACTIVE
            own = claims.client_id == client.client_id and claims.issuer == self._settings.issuer
            if not own and CLIENTS_ADMIN not in client.scopes:
                return INACTIVE
            try:
                principal = self._authenticator.standing(claims)
            except TokenRefused:
                return INACTIVE
            return self._introspection(claims, principal)

    def metadata(self, base_url: str) -> dict[str, Any]:
        """The document of RFC 8414 for a server that callers reach at ``base_url``."""
        return server_metadata(self._settings.issuer, base_url, binds=self._settings.bind_to_certificates)

    def jwks(self) -> dict[str, Sequence[dict[str, str]]]:
        """The public keys that verify tokens, as a JWK Set."""
        return self._ring.jwks()

    def _binding(self) -> dict[str, Any]:
        """The claim that binds a token to the certificate that the client asks with, if settings want it to."""
        certificate = current_client_certificate.get()
        if certificate is None or not self._settings.bind_to_certificates:
            return {}
        return {"cnf": {CERTIFICATE_MEMBER: certificate.thumbprint}}

    def _authenticated(
        self, line: AuditedCall, parameters: Mapping[str, str], authorization: str | None
    ) -> ClientRecord:
        credentials = read_credentials(parameters, authorization)
        line.claimed(credentials.client_id)
        client = self._clients.recognise(credentials.client_id, credentials.secret)
        if client is None:
            raise OAuthError("invalid_client", "the client is unknown, disabled, or its secret is wrong")
        line.proved(client.client_id)
        return client

    def _claims(self, token: str) -> Claims | None:
        try:
            return self._authenticator.verify(token)
        except TokenRefused:
            return None

    @staticmethod
    def _introspection(claims: Claims, principal: Principal) -> dict[str, Any]:
        bound = {} if claims.bound_to is None else {"cnf": {CERTIFICATE_MEMBER: claims.bound_to}}
        return {
            "active": True,
            "scope": " ".join(sorted(principal.scopes)),
            "client_id": claims.client_id,
            "token_type": "Bearer",
            "exp": claims.expires_at,
            "iat": claims.issued_at,
            "sub": claims.subject,
            "aud": claims.audience,
            "iss": claims.issuer,
            "jti": claims.token_id,
            **bound,
        }

    def _audited(self, event: str, address: str | None, request_id: str | None) -> AuditedCall:
        return AuditedCall(self._trail, event, address, request_id)


def _token(parameters: Mapping[str, str]) -> str:
    if "token" not in parameters:
        raise OAuthError("invalid_request", "token is missing")
    return parameters["token"]


def _granted(held: frozenset[str], asked: str | None) -> frozenset[str]:
    """All that the client holds, or the part of it that it asks for; raises OAuthError for more.

    What is no scope's name is refused too: ``predict:*`` reaches every name, and a tab in one parts words for others.
    """
    if asked is None:
        return held
    wanted = frozenset(asked.split(" ")) - {""}
    if not wanted or not all(map(is_scope, wanted)) or not reaches(held, wanted):
        raise OAuthError("invalid_scope", "the client does not hold every scope that it asks for")
    return common(held, wanted)

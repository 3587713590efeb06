"""The authorization server described for clients (RFC 8414)."""

from __future__ import annotations

from typing import Any

from .key_material import ALGORITHMS
from .policy import SCOPES

TOKEN_PATH = "/oauth/token"
REVOKE_PATH = "/oauth/revoke"
INTROSPECT_PATH = "/oauth/introspect"
JWKS_PATH = "/.well-known/jwks.json"

_CLIENT_AUTHENTICATION = ["client_secret_basic", "client_secret_post"]


def server_metadata(issuer: str, base_url: str, *, binds: bool) -> dict[str, Any]:
    """The document for a server that callers reach at ``base_url``, without a slash at its end.

    ``binds`` says whether tokens are bound to client certificates (RFC 8705 section 3.3).
    """
    base = base_url.rstrip("/")
    return {
        "issuer": issuer,
        "token_endpoint": base + TOKEN_PATH,
        "token_endpoint_auth_methods_supported": _CLIENT_AUTHENTICATION,
        "revocation_endpoint": base + REVOKE_PATH,
        "revocation_endpoint_auth_methods_supported": _CLIENT_AUTHENTICATION,
        "introspection_endpoint": base + INTROSPECT_PATH,
        "introspection_endpoint_auth_methods_supported": _CLIENT_AUTHENTICATION,
        "jwks_uri": base + JWKS_PATH,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        # "predict:NAME" stands for one scope per model, which this public document does not list.
        "scopes_supported": list(SCOPES),
        "access_token_signing_alg_values_supported": list(ALGORITHMS),
        **({"tls_client_certificate_bound_access_tokens": True} if binds else {}),
    }

"""How a client proves itself to the token endpoints: HTTP Basic, or the form, never both (RFC 6749 section 2.3.1)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from .oauth_error import OAuthError

# Longer than any form that means something: two ids, a secret, a token of 8 KiB. Nobody has to prove anything before a
# form is parsed, and a million parameters would take a CPU for seconds.
FORM_LIMIT_BYTES = 64 * 1024
_VALUE_LIMIT = 16_384


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller claims to be; the secret never shows in a repr."""

    client_id: str
    secret: str = field(repr=False)


def read_form(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parameters of a form; raises OAuthError for one that comes twice. An empty value counts as absent."""
    form: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            raise OAuthError("invalid_request", "a parameter comes twice")
        if len(value) > _VALUE_LIMIT:
            raise OAuthError("invalid_request", "a parameter is too long")
        seen.add(name)
        if value:
            form[name] = value
    return form


def read_credentials(form: Mapping[str, str], authorization: str | None) -> Credentials:
    """The credentials of a request, not yet checked.

    Raises OAuthError: ``invalid_request`` when they come in both places, ``invalid_client`` when there are none.
    """
    in_form = "client_secret" in form
    if authorization is None or not authorization.strip():
        if not in_form or "client_id" not in form:
            raise OAuthError("invalid_client", "the client did not authenticate")
        return Credentials(form["client_id"], form["client_secret"])
    if in_form:
        raise OAuthError("invalid_request", "the client authenticates in two ways")
    credentials = _basic(authorization)
    if form.get("client_id", credentials.client_id) != credentials.client_id:
        raise OAuthError("invalid_request", "the client authenticates as one and names another")
    return credentials


def _basic(authorization: str) -> Credentials:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise OAuthError("invalid_client", "this way of client authentication is not spoken here")
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise OAuthError("invalid_client", "the credentials are malformed") from None
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise OAuthError("invalid_client", "the credentials are malformed")
    return Credentials(unquote_plus(client_id), unquote_plus(secret))


def claimed_client(form_client_id: str | None, authorization: str | None) -> str:
    """Whom a request claims to come from, as a key for counting; nothing is checked, and nothing is raised."""
    if authorization:
        try:
            return _basic(authorization).client_id[:200]
        except OAuthError:
            return "malformed"
    return (form_client_id or "nobody")[:200]

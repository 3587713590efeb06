"""The token endpoints and what verifies their tokens: ``/oauth/*`` and ``/.well-known/*``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, Response, g, request
from flask_limiter import Limiter as FlaskLimiter

from ..access_sections import QuotasSettings
from ..auth.client_authentication import FORM_LIMIT_BYTES, claimed_client
from ..auth.oauth import OAuth
from ..auth.oauth_error import OAuthError
from ..errors import Refusal
from ..wire.json_answer import json_answer
from .door import read_body, response_of
from .limits import address_key
from .operation import FORM

_MOST_PARAMETERS = 64
# A key that was taken out in an emergency is forgotten by verifiers after this long.
_KEYS_MAX_AGE_SECONDS = 60


def oauth_routes(
    oauth: OAuth, base_url: str, limiter: FlaskLimiter, quotas: QuotasSettings, auth_failed: Callable[[str], None]
) -> Blueprint:
    """The routes of RFC 6749, 7009, 7662, 7517 and 8414; limited by address, and by address and client.

    ``auth_failed`` is told of each client that did not prove itself, by the same word whatever was wrong.
    """
    routes = Blueprint("oauth", __name__)

    def limited(view: Callable[[], Response]) -> Callable[[], Response]:
        """First by address; only for one that has calls left is the form read, which names the client."""
        by_client = limiter.limit(quotas.token_client, key_func=_client_of_address)(view)

        def first_by_address() -> Response:
            response: Response = by_client()
            return response

        # Flask names the endpoint by the one, Flask-Limiter keeps each function's limits by the other.
        first_by_address.__name__ = view.__name__
        first_by_address.__qualname__ = f"{view.__qualname__}.{first_by_address.__qualname__}"
        guarded: Callable[[], Response] = limiter.limit(quotas.token_address, key_func=_address_of_endpoint)(
            first_by_address
        )
        return guarded

    @routes.post("/oauth/token")
    @limited
    def token() -> Response:
        answer = oauth.issue(_form(), request.headers.get("Authorization"), g.address, g.request_id)
        return _no_store(answer)

    @routes.post("/oauth/revoke")
    @limited
    def revoke() -> Response:
        oauth.revoke(_form(), request.headers.get("Authorization"), g.address, g.request_id)
        return _no_store({})

    @routes.post("/oauth/introspect")
    @limited
    def introspect() -> Response:
        return _no_store(dict(oauth.introspect(_form(), request.headers.get("Authorization"), g.address, g.request_id)))

    @routes.get("/.well-known/jwks.json")
    def jwks() -> Response:
        response = response_of(json_answer(dict(oauth.jwks())))
        response.headers["Cache-Control"] = f"public, max-age={_KEYS_MAX_AGE_SECONDS}"
        return response

    @routes.get("/.well-known/oauth-authorization-server")
    def metadata() -> Response:
        return response_of(json_answer(oauth.metadata(base_url)))

    @routes.errorhandler(OAuthError)
    def refused(error: OAuthError) -> Response:
        status = 401 if error.code == "invalid_client" else 400
        response = _no_store({"error": error.code, "error_description": error.description}, status)
        if status == 401:
            auth_failed(error.code)
            response.headers["WWW-Authenticate"] = 'Basic realm="secure-ml-api", charset="UTF-8"'
        return response

    return routes


def _form() -> list[tuple[str, str]]:
    """The pairs of the form in order, those of a parameter that comes twice too; raises OAuthError or a Refusal.

    The body is read once, whoever asks first.
    """
    if "form" not in g:
        try:
            g.form = _read_form()
        except (OAuthError, Refusal) as error:
            g.form = error
    if isinstance(g.form, Exception):
        raise g.form
    pairs: list[tuple[str, str]] = g.form
    return pairs


def _read_form() -> list[tuple[str, str]]:
    if request.mimetype != FORM:
        raise OAuthError("invalid_request", f"send the parameters as {FORM}")
    if request.query_string:
        raise OAuthError("invalid_request", "parameters go into the form, never into the address")
    request.max_content_length = FORM_LIMIT_BYTES
    text = read_body().decode("utf-8", "replace")
    try:
        return parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise OAuthError("invalid_request", "the form has too many parameters") from None


def _no_store(payload: dict[str, Any], status: int = 200) -> Response:
    response = response_of(json_answer(payload, status))
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response


def _address_of_endpoint() -> str:
    return f"token:{address_key()}"


def _client_of_address() -> str:
    """Keyed by both: nobody can lock a client out from elsewhere by guessing its secret. Raises nothing."""
    try:
        client_id = dict(reversed(_form())).get("client_id")
    except (OAuthError, Refusal):
        client_id = None
    return f"token:{address_key()}:{claimed_client(client_id, request.headers.get('Authorization'))}"

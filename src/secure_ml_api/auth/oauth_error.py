"""Refusals of the token endpoints, in the words of RFC 6749 section 5.2."""

from __future__ import annotations

from typing import Literal

from ..errors import SecureMlApiError

Code = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
]


class OAuthError(SecureMlApiError):
    """``code`` and ``description`` are the body of the answer; neither repeats what the caller sent.

    ``invalid_client`` is answered 401 with a Basic challenge, all others 400.
    """

    def __init__(self, code: Code, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description

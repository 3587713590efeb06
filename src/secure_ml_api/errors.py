"""Every error this package raises on purpose, as one tree that knows no HTTP.

    SecureMlApiError
    ├── OperatorError                 someone at a terminal has to act; its text is one line that says how
    │   ├── SettingsError             a key of the configuration is unknown or its value is bad
    │   ├── HomeError                 the home directory is missing, locked or has unsafe permissions
    │   ├── KeyFileError              a private key is missing, unreadable or readable by others
    │   ├── PackageRefused            a model package is not what its signature promises
    │   └── PackingError              a trained model cannot be turned into a package
    └── Refusal                       one request is answered with a documented error
        ├── MalformedBody             the bytes are not what their content type says
        ├── MalformedHeader           a header field is not written as its definition says
        ├── BodyTooLarge              the body, as sent or decompressed, is over its limit
        ├── BodyTooSlow               the body did not arrive in time
        ├── UnsupportedContent        a content type or encoding that is not spoken here
        ├── NotAcceptable             no answer format that the caller accepts
        ├── TokenMissing              no bearer token came
        ├── TokenRefused              a token came and does not hold
        ├── InsufficientScope         the token holds and does not reach this far
        ├── ModelNotFound             no such model or version
        ├── SubjectNotFound           no such thing to administer
        ├── SignatureMismatch         parsed, but not what the model takes; lists where
        ├── QuotaExceeded             a quota or an address limit is used up
        ├── Overloaded                the worker has all the work that it can finish in time
        ├── NotReady                  the model, or the server, is still loading or is going away
        ├── StorageUnavailable        a store that this request needs does not answer
        ├── DeadlineExceeded          the answer would come after the caller stopped waiting
        └── InferenceFailed           the model raised; nothing about it is told to the caller

A refusal's ``reason`` is a metric label and a log field, so it is fixed per class and never built from input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class SecureMlApiError(Exception):
    """The root; catch it to catch everything this package raises on purpose."""


class OperatorError(SecureMlApiError):
    """Someone at a terminal has to act; ``str()`` is the one line that says what to do."""


class SettingsError(OperatorError):
    """A key of the configuration is unknown or its value is bad; the text names the key."""


class HomeError(OperatorError):
    """The home directory is missing, in use by another server or has unsafe permissions."""


class KeyFileError(OperatorError):
    """A private key is missing, unreadable or readable by others."""


class PackageRefused(OperatorError):
    """A model package is not, byte for byte, what its signature promises."""


class PackingError(OperatorError):
    """A trained model cannot be turned into a package; the text says which part and what to try."""


class Refusal(SecureMlApiError):
    """One request is answered with a documented error.

    ``detail`` is shown to the caller: it never repeats what the caller sent and never holds a secret.
    """

    reason = "refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class MalformedBody(Refusal):
    """The bytes are not what their content type says: bad JSON, NaN, duplicate keys, bad UTF-8."""

    reason = "malformed_body"


class MalformedHeader(Refusal):
    """A header field of the request is not written as its definition says."""

    reason = "malformed_header"


class BodyTooLarge(Refusal):
    """The body, as sent or decompressed, is over its limit in bytes."""

    reason = "body_too_large"


class BodyTooSlow(Refusal):
    """The body did not arrive in time."""

    reason = "body_too_slow"


class UnsupportedContent(Refusal):
    """The body has a content type or encoding that is not spoken here; ``accepted`` lists those that are."""

    reason = "unsupported_content"

    def __init__(self, detail: str, accepted: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.accepted = tuple(accepted)


class NotAcceptable(Refusal):
    """None of the answer formats that the caller accepts is spoken here."""

    reason = "not_acceptable"


class TokenMissing(Refusal):
    """No bearer token came with a request that needs one."""

    reason = "token_missing"

    def __init__(self, detail: str = "this route needs a bearer token") -> None:
        super().__init__(detail)


class TokenRefused(Refusal):
    """A bearer token came and does not hold.

    The caller sees one text for every cause; ``cause`` (a fixed word such as ``expired``) is for logs and metrics.
    """

    reason = "token_refused"

    def __init__(self, cause: str) -> None:
        super().__init__("the bearer token is not valid here")
        self.cause = cause


class InsufficientScope(Refusal):
    """The token holds, but carries none of the scopes that this request needs; ``scope`` names one that would do."""

    reason = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this request needs the scope {scope}")
        self.scope = scope


class ModelNotFound(Refusal):
    """No such model, or no such version of it."""

    reason = "model_not_found"


class SubjectNotFound(Refusal):
    """No such thing to administer."""

    reason = "not_found"


@dataclass(frozen=True, slots=True)
class Misfit:
    """One place where a request does not fit the model: a row and a feature (or tensor), and what was expected."""

    detail: str
    row: int | None = None
    feature: str | None = None


class SignatureMismatch(Refusal):
    """The body parsed, but does not fit the model's signature; ``misfits`` lists where (at most 100)."""

    reason = "signature_mismatch"

    def __init__(self, detail: str, misfits: Sequence[Misfit] = ()) -> None:
        super().__init__(detail)
        self.misfits = tuple(misfits[:100])


class QuotaExceeded(Refusal):
    """A quota or an address limit is used up; it is worth trying again after ``retry_after_seconds``.

    ``never`` says that the request asks for more than a whole window holds, so waiting alone will not help.
    ``standings`` are those of every quota that was asked, for the headers; ``violated`` names the ones that refused.
    """

    reason = "quota_exceeded"

    def __init__(
        self,
        detail: str,
        retry_after_seconds: int,
        *,
        never: bool = False,
        standings: Sequence[Any] = (),
        violated: Sequence[str] = (),
    ) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds
        self.never = never
        self.standings = tuple(standings)
        self.violated = tuple(violated)


class Overloaded(Refusal):
    """The worker already has all the work that it can finish in time."""

    reason = "overloaded"

    def __init__(self, detail: str, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class NotReady(Refusal):
    """The model, or the whole server, is still loading or is going away."""

    reason = "not_ready"
    retry_after_seconds = 1


class StorageUnavailable(Refusal):
    """A store that this request needs does not answer."""

    reason = "storage_unavailable"
    retry_after_seconds = 1


class DeadlineExceeded(Refusal):
    """The answer would come after the deadline of the request."""

    reason = "deadline_exceeded"


class InferenceFailed(Refusal):
    """The model raised on valid input; the cause is logged under the request id and not told to the caller."""

    reason = "inference_failed"

    def __init__(self) -> None:
        super().__init__("the model failed on this input; the operators can find the cause by the request id")

"""The Python client: ``Client`` and ``AsyncClient``, and the errors that they raise. Imports nothing of the server."""

from .answers import Prediction
from .async_client import AsyncClient
from .errors import (
    AuthenticationFailed,
    BadRequest,
    ClientError,
    DeadlineExceeded,
    InvalidRows,
    ModelNotFound,
    PermissionDenied,
    QuotaExceeded,
    ServerError,
    Unavailable,
)
from .policy import Retry
from .sync_client import Client

__all__ = [
    "AsyncClient",
    "AuthenticationFailed",
    "BadRequest",
    "Client",
    "ClientError",
    "DeadlineExceeded",
    "InvalidRows",
    "ModelNotFound",
    "PermissionDenied",
    "Prediction",
    "QuotaExceeded",
    "Retry",
    "ServerError",
    "Unavailable",
]

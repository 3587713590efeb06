"""One call of a token endpoint as one line of the audit trail, however it ends."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Self

from ..audit.trail import AuditTrail
from ..errors import Refusal
from .oauth_error import OAuthError

# Callers put secrets where an id belongs: only what looks like an id of ours is written down.
_CLIENT_ID = re.compile(r"[0-9a-f]{32}")


class AuditedCall:
    """Records ``event`` when its block ends: who called, or who was claimed, and the code of the refusal, if any."""

    def __init__(self, trail: AuditTrail, event: str, address: str | None, request_id: str | None) -> None:
        self._trail = trail
        self._event = event
        self._address = address
        self._request_id = request_id
        self._claimed: str | None = None
        self._actor: str | None = None
        self.outcome = "ok"
        self.details: dict[str, str] = {}

    def claimed(self, client_id: str) -> None:
        """Note what the caller says it is."""
        self._claimed = client_id if _CLIENT_ID.fullmatch(client_id) else None

    def proved(self, client_id: str) -> None:
        """Note that the caller proved what it is."""
        self._actor = client_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, OAuthError):
            self.outcome = error.code
        elif isinstance(error, Refusal):
            self.outcome = error.reason
        elif error is not None:
            self.outcome = "failed"
        if self._actor is None and self._claimed is not None:
            self.details["claimed"] = self._claimed
        self._trail.record(
            self._event,
            actor=self._actor,
            outcome=self.outcome,
            address=self._address,
            request_id=self._request_id,
            **self.details,
        )

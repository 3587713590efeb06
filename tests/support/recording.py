"""A process that writes to the audit trail, importable by the processes that tests start."""

from __future__ import annotations

from secure_ml_api.audit.trail import AuditTrail
from secure_ml_api.database.engine import Database

KEY = bytes(range(32))
"""The key of the trails that tests write."""


def record_many(url: str, actor: str, lines: int) -> None:
    """Record ``lines`` lines and wait until they are written."""
    database = Database(url, 30.0)
    trail = AuditTrail(database, lambda: KEY)
    for number in range(lines):
        trail.record("test", actor=actor, outcome="ok", number=number)
    if not trail.flush(60.0):
        raise RuntimeError("the lines were not written")
    database.close()

"""A process that writes to the audit trail, importable by the processes that tests start."""

from __future__ import annotations

from secure_ml_api.audit.trail import AuditTrail
from secure_ml_api.database.engine import Database


def record_many(url: str, actor: str, lines: int) -> None:
    """Record ``lines`` lines and wait until they are written."""
    database = Database(url, 30.0)
    trail = AuditTrail(database)
    for number in range(lines):
        trail.record("test", actor=actor, outcome="ok", number=number)
    if not trail.flush(60.0):
        raise RuntimeError("the lines were not written")
    database.close()

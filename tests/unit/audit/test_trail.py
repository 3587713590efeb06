"""The audit trail never holds a request up, and says what it lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select

from secure_ml_api.audit import writer
from secure_ml_api.audit.chain import Mark
from secure_ml_api.audit.trail import AuditTrail
from secure_ml_api.database.engine import Database
from secure_ml_api.database.migrate import migrate
from secure_ml_api.database.tables import audit
from secure_ml_api.errors import StorageUnavailable
from support.forking import run_in_fork
from support.recording import KEY


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'data.db'}"
    migrate(url)
    database = Database(url)
    yield database
    database.close()


class Away(Database):
    """A database whose writes fail until it is let back."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.back = Event()
        self.tried = Event()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self.tried.set()
        if not self.back.is_set():
            raise StorageUnavailable("the database does not answer")
        with super().transaction() as connection:
            yield connection


def events(database: Database) -> list[str]:
    with database.session() as connection:
        return list(connection.execute(select(audit.c.event).order_by(audit.c.id)).scalars())


def test_nothing_runs_before_the_first_line(database: Database) -> None:
    before = threading.active_count()
    trail = AuditTrail(database, lambda: KEY)
    assert trail.flush()
    assert threading.active_count() == before


def test_lines_that_find_no_room_are_counted_logged_once_and_the_gap_is_written(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    away = Away(database.url.render_as_string())
    trail = AuditTrail(away, lambda: KEY, queue_limit=3)
    trail.record("first", actor=None, outcome="ok")
    assert away.tried.wait(30)  # the writer holds the first line now, and the queue is empty
    for _ in range(5):
        trail.record("later", actor=None, outcome="ok")
    assert trail.dropped == 2
    assert caplog.text.count("are being dropped") == 1
    assert trail.flush(0.0) is False
    away.back.set()
    assert trail.flush(30)
    assert sorted(events(database)) == ["audit.dropped", "first", "later", "later", "later"]
    (gap,) = [line.entry for line in trail.newest(5) if line.entry.event == "audit.dropped"]
    assert (gap.outcome, gap.details["lines"]) == ("lost", 2)
    assert gap.details["since"] <= gap.at
    assert trail.verify().broken is None


def test_lines_that_are_lost_with_their_process_are_logged(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    trail = AuditTrail(Away(database.url.render_as_string()), lambda: KEY)
    trail.record("first", actor=None, outcome="ok")
    trail.close(0.01)
    assert "1 lines of the audit trail could not be written and are lost" in caplog.text


def test_head_is_told_to_the_log_where_another_machine_keeps_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    trail = AuditTrail(database, lambda: KEY)
    with caplog.at_level("INFO", "secure_ml_api.audit"):
        for _ in range(3):
            trail.record("first", actor=None, outcome="ok")
            assert trail.flush(30)
        last = trail.newest(1)[0]
    told = [record.getMessage() for record in caplog.records if "stands at" in record.getMessage()]
    assert len(told) == 1
    assert trail.verify([Mark(1, trail.newest(3)[0].hash)]).broken is None
    assert told[0].endswith(trail.newest(3)[0].hash)
    assert last.id == 3


def test_checkpoint_that_cannot_be_written_is_logged_once_and_the_trail_goes_on(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "audit").write_text("something else is in the way")
    trail = AuditTrail(database, lambda: KEY, tmp_path / "audit")
    for _ in range(3):
        trail.record("first", actor=None, outcome="ok")
        assert trail.flush(30)
    assert events(database) == ["first"] * 3
    assert caplog.text.count("the checkpoint of the audit trail") == 1


def test_control_characters_and_long_texts_are_made_harmless(database: Database) -> None:
    trail = AuditTrail(database, lambda: KEY)
    trail.record("e", actor="a\nb\x00" + "x" * 1000, outcome="ok", address="\x1b[31m", note="line\r\nline")
    assert trail.flush()
    with database.session() as connection:
        line = connection.execute(select(audit)).one()
    assert line.actor.startswith("a\ufffdb\ufffdx")
    assert len(line.actor) == 600
    assert line.address == "\ufffd[31m"
    assert line.details == {"note": "line\ufffd\ufffdline"}
    assert trail.verify().broken is None


def test_forked_worker_writes_its_own_lines(database: Database) -> None:
    """Built before the fork and used on both sides of it."""
    trail = AuditTrail(database, lambda: KEY)

    def write() -> None:
        trail.record("child", actor=None, outcome="ok")
        assert trail.flush(30)

    assert run_in_fork(write)
    trail.record("parent", actor=None, outcome="ok")
    assert trail.flush(30)
    assert sorted(events(database)) == ["child", "parent"]
    assert trail.verify().broken is None

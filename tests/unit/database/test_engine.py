"""Where the database is, and what happens when it is not."""

from __future__ import annotations

import sqlite3
import stat
import sys
from pathlib import Path

import pytest
from sqlalchemy import event, text

from secure_ml_api.auth import records
from secure_ml_api.database.engine import Database, parse_url
from secure_ml_api.database.migrate import migrate, require_migrated
from secure_ml_api.database.tables import record_change
from secure_ml_api.errors import OperatorError, StorageUnavailable
from support.forking import run_in_fork


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(path: Path) -> Database:
    return Database(f"sqlite:///{path}", 0.05, pause_seconds=0.0)


@pytest.mark.parametrize("url", ["postgresql://u:p@h/n", "postgres://u:p@h/n", "postgresql+psycopg://u:p@h/n"])
def test_postgresql_is_spoken_with_psycopg_3(url: str) -> None:
    assert parse_url(url).drivername == "postgresql+psycopg"


@pytest.mark.parametrize("url", ["", "hunter2", "mysql://u:hunter2@h/n", "oracle://u:hunter2@h/n"])
def test_bad_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(OperatorError, match=r"database\.url") as caught:
        Database(url)
    assert "hunter2" not in str(caught.value)


def test_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(OperatorError, match=r"pip install 'secure-ml-api\[postgres\]'"):
        migrate("postgresql://u:p@127.0.0.1:1/n")


def test_unreachable_server_is_named_without_its_password() -> None:
    with pytest.raises(OperatorError, match=r"127\.0\.0\.1") as caught:
        require_migrated("postgresql://u:hunter2@127.0.0.1:1/n")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreachable_server_is_storage_unavailable() -> None:
    with pytest.raises(StorageUnavailable), Database("postgresql://u:p@127.0.0.1:1/n").session():
        pass


def test_only_the_owner_reads_the_file(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_sqlite_writes_ahead_syncs_fully_and_checks_foreign_keys(database: Database) -> None:
    with database.session() as connection:
        pragmas = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
        assert pragmas == ["wal", 2]
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_lost_file_is_an_error_and_never_a_fresh_one(database: Database, path: Path) -> None:
    with database.session() as connection:
        records.newest_change(connection)
    path.unlink()
    for block in (database.session, database.transaction):
        with pytest.raises(StorageUnavailable), block():
            pass
    assert not path.exists()


def test_replaced_file_is_noticed(database: Database, path: Path, tmp_path: Path) -> None:
    with database.transaction() as connection:
        record_change(connection, "client", "a")
    other = tmp_path / "other.db"
    migrate(f"sqlite:///{other}")
    database_of_before = database
    other.rename(path)
    for leftover in ("-wal", "-shm"):
        path.with_name(path.name + leftover).unlink(missing_ok=True)
    with database_of_before.session() as connection:
        assert records.newest_change(connection) == 0


def test_locked_file_is_storage_unavailable_after_the_time_to_wait(database: Database, path: Path) -> None:
    other = Database(f"sqlite:///{path}")
    with other.transaction(), pytest.raises(StorageUnavailable), database.transaction():
        pass
    with database.transaction() as connection:
        assert record_change(connection, "client", "a") == 1


def test_readers_do_not_wait_for_a_writer(database: Database, path: Path) -> None:
    other = Database(f"sqlite:///{path}")
    with other.transaction() as writing:
        record_change(writing, "client", "a")
        with database.session() as connection:
            assert records.newest_change(connection) == 0


def test_forked_worker_opens_its_own_connections(database: Database) -> None:
    with database.session() as connection:
        records.newest_change(connection)

    def write() -> None:
        with database.transaction() as connection:
            record_change(connection, "client", "child")

    assert run_in_fork(write)
    with database.transaction() as connection:
        assert record_change(connection, "client", "parent") == 2


def test_connection_that_was_opened_while_the_file_was_read_only_is_not_kept(path: Path) -> None:
    database = Database(f"sqlite:///{path}", 0.05, pause_seconds=0.0)

    def read_only(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA query_only = ON")  # says SQLITE_READONLY, for root too

    engine = database._engine(writing=True)
    event.listen(engine, "connect", read_only)
    with pytest.raises(StorageUnavailable), database.transaction() as connection:
        record_change(connection, "client", "a")
    event.remove(engine, "connect", read_only)
    with database.transaction() as connection:
        assert record_change(connection, "client", "a") == 1

"""PostgreSQL stopped and frozen: the documented failure within the time-outs, and normal work afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from secure_ml_api.auth import records
from secure_ml_api.database.engine import Database
from secure_ml_api.database.migrate import migrate
from secure_ml_api.database.tables import record_change
from secure_ml_api.errors import StorageUnavailable
from support.postgres_server import PostgresServer
from support.server import wait_until


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    url = postgres.new_database()
    migrate(url)
    database = Database(url, 0.2, pause_seconds=0.0)
    with database.transaction() as connection:
        record_change(connection, "client", "a")
    yield database
    database.close()


def write(database: Database) -> None:
    with database.transaction() as connection:
        record_change(connection, "client", "b")


def read(database: Database) -> int:
    with database.session() as connection:
        return records.newest_change(connection)


def test_stopped_server_is_storage_unavailable_until_it_is_back(postgres: PostgresServer, database: Database) -> None:
    postgres.stop()
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            read(database)
        with pytest.raises(StorageUnavailable):
            write(database)
    postgres.start()
    assert read(database) == 1
    write(database)
    assert read(database) > 1  # a sequence skips numbers after a crash


def test_frozen_server_holds_nobody_for_ever(postgres: PostgresServer, database: Database) -> None:
    postgres.freeze()
    try:
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                read(database)
    finally:
        postgres.thaw()
    assert read(database) == 1


def test_server_that_freezes_within_a_transaction_holds_nobody_for_ever(
    postgres: PostgresServer, database: Database
) -> None:
    def freeze_and_write() -> None:
        with database.transaction() as connection:
            postgres.freeze()
            record_change(connection, "client", "b")

    try:
        with pytest.raises(StorageUnavailable):
            freeze_and_write()
    finally:
        postgres.thaw()
    assert read(database) == 1


def test_lock_that_another_holds_is_storage_unavailable(postgres: PostgresServer, database: Database) -> None:
    other = Database(database.url.render_as_string(hide_password=False), 5.0)
    with other.transaction() as connection:
        record_change(connection, "client", "other")
        with pytest.raises(StorageUnavailable):
            write(database)
    other.close()
    write(database)


def test_frozen_server_holds_a_few_callers_and_nobody_after_a_second(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    migrate(url)
    database = Database(url, 1.0)
    assert read(database) == 0
    postgres.freeze()
    try:
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(read, database)
            wait_until(lambda: refused_at_once(database), what="the frozen server to be noticed")
            assert not held.done()  # its own time-out comes later
            assert refused_at_once(database)
            postgres.thaw()
            assert held.result(30) == 0
    finally:
        postgres.thaw()
    wait_until(lambda: not refused_at_once(database), what="the server to be asked again")
    database.close()


def refused_at_once(database: Database) -> bool:
    begun = time.monotonic()
    try:
        read(database)
    except StorageUnavailable:
        return time.monotonic() - begun < 0.1
    return False

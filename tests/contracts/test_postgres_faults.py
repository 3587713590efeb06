"""PostgreSQL stopped and frozen: the documented failure within the time-outs, and normal work afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from secure_ml_api.auth import records
from secure_ml_api.database.engine import Database
from secure_ml_api.database.migrate import migrate
from secure_ml_api.database.tables import record_change
from secure_ml_api.errors import StorageUnavailable
from support.postgres_server import PostgresServer


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    url = postgres.new_database()
    migrate(url)
    database = Database(url, 0.2)
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

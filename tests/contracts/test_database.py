"""What transactions promise on every database."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
from sqlalchemy import select, text

from secure_ml_api.auth import records
from secure_ml_api.database.engine import Database
from secure_ml_api.database.tables import changes, record_change
from secure_ml_api.errors import StorageUnavailable


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as connection:
            record_change(connection, "client", "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.session() as connection:
        assert records.newest_change(connection) == 0


def test_a_driver_error_is_ours_and_quotes_no_parameters(database: Database) -> None:
    with pytest.raises(StorageUnavailable) as caught, database.session() as connection:
        connection.execute(text("SELECT :secret FROM nowhere"), {"secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_numbers_of_changes_grow_in_the_order_of_commits(database: Database) -> None:
    """A reader that has seen number n never finds a lower one later."""
    writers, rounds = 4, 20
    barrier = Barrier(writers + 1)
    seen: list[list[int]] = []

    def write(name: str) -> None:
        barrier.wait()
        for _ in range(rounds):
            with database.transaction() as connection:
                record_change(connection, "client", name)

    threads = [Thread(target=write, args=(f"writer-{number}",)) for number in range(writers)]
    for thread in threads:
        thread.start()
    barrier.wait()
    newest = 0
    while newest < writers * rounds:
        were_at_work = any(thread.is_alive() for thread in threads)
        with database.session() as connection:
            found = [row.id for row in connection.execute(select(changes.c.id).where(changes.c.id > newest))]
        if found:
            seen.append(found)
            newest = max(found)
        if not (were_at_work or found):
            break
    for thread in threads:
        thread.join()
    assert sorted(number for found in seen for number in found) == list(range(1, writers * rounds + 1))

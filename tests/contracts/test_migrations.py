"""Every database is brought to the newest schema by the same call."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from secure_ml_api.database.engine import Database
from secure_ml_api.database.migrate import NEWEST, migrate, require_migrated
from secure_ml_api.database.tables import metadata
from secure_ml_api.errors import OperatorError


def test_second_run_changes_nothing(database_url: str) -> None:
    assert migrate(database_url) is True
    assert migrate(database_url) is False


def test_processes_that_migrate_at_once_agree_on_who_does_it(database_url: str) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(migrate, [database_url] * 4))
    assert sorted(results) == [False, False, False, True]
    require_migrated(database_url)


def test_the_last_step_is_the_one_that_alembic_finds(database: Database) -> None:
    with database.session() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == NEWEST


def test_migrated_schema_is_the_one_that_the_code_declares(database: Database) -> None:
    with database.session() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_an_unprepared_database_names_the_command_to_run(database_url: str) -> None:
    with pytest.raises(OperatorError, match="secure-ml-api init"):
        require_migrated(database_url)


def test_a_database_of_a_newer_release_is_left_alone(database_url: str) -> None:
    migrate(database_url)
    database = Database(database_url)
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(OperatorError, match="another release"):
        migrate(database_url)

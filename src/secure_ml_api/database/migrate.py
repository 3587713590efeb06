"""Alembic, run from here: no alembic.ini, no command line, no change of the logging."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from ..errors import OperatorError
from .engine import open_engine, parse_url

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0002"
"""The last of the steps in ``migrations``: known without Alembic, whose import takes longer than most commands."""

# Two processes may start at once; the second waits this long for the first to finish.
_WAIT_SECONDS = 30.0
_MIGRATION_LOCK = 0x736D6C6D  # "smlm"


def migrate(url: str) -> bool:
    """Bring the database at ``url`` to the newest schema, making a SQLite file where there is none.

    Idempotent, and safe when several processes run it at once. True when something was changed. Raises OperatorError
    when the database cannot be reached or was made by a newer release.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        _make_file(parsed)
    engine = open_engine(parsed, _WAIT_SECONDS).execution_options(sqlite_begin="BEGIN IMMEDIATE")
    try:
        if parsed.get_backend_name() == "sqlite":
            _use_wal(parsed)
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            return _upgrade(connection)
    except SQLAlchemyError as error:
        raise OperatorError(f"the database {_shown(parsed)} cannot be prepared: {_first_line(error)}") from error
    finally:
        engine.dispose()


def require_migrated(url: str) -> None:
    """Raise OperatorError, saying what to run, unless the database at ``url`` has the newest schema."""
    parsed = parse_url(url)
    remedy = "run `secure-ml-api init` with the same --home"
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        raise OperatorError(f"there is no database at {parsed.database}: {remedy}")
    engine = open_engine(parsed, _WAIT_SECONDS)
    try:
        with engine.connect() as connection:
            current = _revision(connection)
    except SQLAlchemyError as error:
        raise OperatorError(f"the database {_shown(parsed)} does not answer: {_first_line(error)}") from error
    finally:
        engine.dispose()
    if current != NEWEST:
        raise OperatorError(f"the database {_shown(parsed)} is not prepared for this release: {remedy}")


def _upgrade(connection: Connection) -> bool:
    from alembic import command
    from alembic.util import CommandError

    before = _revision(connection)
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise OperatorError(
            f"the database was prepared by another release ({before}): install that one or a newer one"
        ) from error
    return before != NEWEST


def _revision(connection: Connection) -> str | None:
    """The step that was taken last, which Alembic keeps in a table of its own."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "secure_ml_api.database:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _make_file(url: URL) -> None:
    path = Path(url.database or "")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise OperatorError(f"the database {path} cannot be made: {error.strerror}") from error


def _use_wal(url: URL) -> None:
    """Write-ahead logging stays with the file: readers and the one writer do not wait for each other."""
    import sqlite3
    from contextlib import closing

    try:
        with closing(sqlite3.connect(url.database or "", timeout=_WAIT_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        raise OperatorError(f"the database {url.database} cannot be prepared: {error}") from error


def _shown(url: URL) -> str:
    return url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _first_line(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]

"""One lazy SQLAlchemy engine per process, and every driver error as one of ours."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from ..errors import OperatorError, StorageUnavailable
from .breaker import PAUSE_SECONDS, Breaker

# What SQLite says of a connection, rather than of a statement (sqlite.org/rescode.html), extended codes too.
_SPOILED = ("SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FULL")

# A statement on PostgreSQL may take this many times longer than the time to wait for a lock.
_STATEMENT_TIMEOUTS = 5


class Database:
    """The database at ``url``; nothing is opened before the first use, and each process opens its own.

    ``timeout_seconds`` bounds the wait for a connection and for a lock; ``pause_seconds`` is the time between two tries
    while the database is away, in which nobody else waits for it.
    """

    def __init__(self, url: str, timeout_seconds: float = 2.0, pause_seconds: float = PAUSE_SECONDS) -> None:
        self.url = parse_url(url)
        self._timeout_seconds = timeout_seconds
        self._lock = Lock()
        # Apart, as a database that is locked, read-only or full can be read.
        self._reading, self._writing = Breaker(pause_seconds=pause_seconds), Breaker(pause_seconds=pause_seconds)
        self._engines: tuple[int, Engine, Engine] | None = None

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection to read with; raises StorageUnavailable when the database does not answer."""
        engine = self._engine(writing=False)
        with self._reading.watch(), _translated(engine), engine.connect() as connection:
            yield connection

    @contextmanager
    def long_session(self) -> Iterator[Connection]:
        """As ``session``, for work that takes so long that nobody shall take the database for stuck meanwhile."""
        engine = self._engine(writing=False)
        with _translated(engine), engine.connect() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection to write with: all is committed at the end, or nothing.

        On SQLite it holds the only write lock from its start, so what it reads cannot change under it. Raises
        StorageUnavailable when the database does not answer or cannot be written; IntegrityError passes.
        """
        engine = self._engine(writing=True)
        with self._writing.watch(), _translated(engine), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close this process's connections; the next use opens new ones."""
        with self._lock:
            engines, self._engines = self._engines, None
        if engines is not None and engines[0] == os.getpid():
            engines[1].dispose()

    def _engine(self, *, writing: bool) -> Engine:
        engines = self._engines
        if engines is None or engines[0] != os.getpid():
            engines = self._open()
        return engines[2] if writing else engines[1]

    def _open(self) -> tuple[int, Engine, Engine]:
        with self._lock:
            if self._engines is not None and self._engines[0] == os.getpid():
                return self._engines
            if self._engines is not None:
                # Connections of the parent process: forget them without a word to the server, which is still theirs.
                self._engines[1].dispose(close=False)
            engine = open_engine(self.url, self._timeout_seconds)
            self._engines = (os.getpid(), engine, engine.execution_options(sqlite_begin="BEGIN IMMEDIATE"))
            return self._engines


def parse_url(url: str) -> URL:
    """The parsed ``url``, with psycopg 3 as PostgreSQL's driver unless it names one.

    Raises OperatorError, without the password, for what is neither SQLite nor PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise OperatorError("database.url is not a URL such as postgresql+psycopg://user:password@host/name") from None
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    backend = parsed.get_backend_name()
    if backend not in {"sqlite", "postgresql"}:
        raise OperatorError(f"database.url: {backend} is not spoken; use sqlite or postgresql+psycopg")
    return parsed


def open_engine(url: URL, timeout_seconds: float) -> Engine:
    """An engine for ``url`` that connects on first use; raises OperatorError when its driver is not installed."""
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url, timeout_seconds)
        return _postgres_engine(url, timeout_seconds)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise OperatorError(
            f"the database driver of {url.drivername} is not installed: pip install 'secure-ml-api[postgres]'"
        ) from error


def _postgres_engine(url: URL, timeout_seconds: float) -> Engine:
    milliseconds = math.ceil(timeout_seconds * 1000)
    engine = create_engine(
        url,
        hide_parameters=True,  # an error's text, which may be logged, quotes none of them
        pool_pre_ping=True,
        pool_timeout=timeout_seconds,
        connect_args={
            "connect_timeout": max(1, math.ceil(timeout_seconds)),
            "tcp_user_timeout": milliseconds * _STATEMENT_TIMEOUTS,
            "options": f"-c lock_timeout={milliseconds} -c statement_timeout={milliseconds * _STATEMENT_TIMEOUTS}",
        },
    )

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Any:
        from .bounded_psycopg import connect_bounded

        return connect_bounded(timeout_seconds * _STATEMENT_TIMEOUTS, *arguments, **parameters)

    return engine


def _sqlite_engine(url: URL, timeout_seconds: float) -> Engine:
    path = Path(url.database or "")
    # mode=rw: a database that is gone is an error, never a fresh empty file that forgets every revocation.
    location = URL.create("sqlite", database=f"file:{path.absolute()}", query={"mode": "rw", "uri": "true"})
    engine = create_engine(
        location, hide_parameters=True, connect_args={"timeout": timeout_seconds}, pool_timeout=timeout_seconds
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        # The driver's own transactions begin too late to lock early; ours are begun below.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        record.info["inode"] = _inode(path)

    @event.listens_for(engine, "checkout")
    def still_there(_connection: Any, record: Any, _proxy: Any) -> None:
        # Writes to a deleted file succeed and are lost.
        if record.info["inode"] != _inode(path):
            raise DisconnectionError

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        if getattr(getattr(error, "orig", None), "sqlite_errorname", "").startswith(_SPOILED):
            # A connection that was opened while the file was read-only stays so, and with it all that are opened while
            # it is there, as a process has one view of the file's index: all of them are closed.
            engine.dispose()
        # The class and the code alone: the text may quote parameters.
        raise StorageUnavailable(f"the database does not answer ({_named(error)})") from error


def _named(error: SQLAlchemyError) -> str:
    original = getattr(error, "orig", None)
    code = getattr(original, "sqlite_errorname", None) or getattr(original, "sqlstate", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1

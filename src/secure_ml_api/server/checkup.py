"""What `doctor` looks at: one finding a line, each saying what is so and, when that is wrong, what to do."""

from __future__ import annotations

import http.client
import os
import resource
import ssl
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from ..errors import KeyFileError, OperatorError, StorageUnavailable
from ..settings import Settings
from .capacity import usable_bytes, usable_cpus, worker_count
from .config import SPARE_DESCRIPTORS, gunicorn_settings
from .exposure import exposure
from .lock import is_locked
from .ports import port_complaint
from .tls import TlsFiles, secured

# The clock of a machine that stands before the first release of this package is not right.
_EARLIEST = 1_767_225_600  # 2026-01-01T00:00:00Z
_CLOCK_TOLERANCE_SECONDS = 60.0
# A certificate with fewer days left should have been renewed: what renews them by itself does so with thirty left.
_CERTIFICATE_DAYS = 14


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; what is well enough to serve with may still ask for something (``warns``)."""

    name: str
    ok: bool
    detail: str
    warns: bool = False


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything that serving ``settings`` needs, changing nothing; a finding for each part, wrong or right."""
    serves = settings.home.is_dir() and is_locked(settings.home)
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("configuration", lambda: _configuration(settings)),
        ("home", lambda: _home(settings, serves=serves)),
        ("keys", lambda: _keys(settings)),
        ("database", lambda: _database(settings)),
        ("audit trail", lambda: _audit(settings)),
        ("state", lambda: _state(settings, serves=serves)),
        ("port", lambda: _port(settings, settings.server.port, "/v2/health/live", serves=serves)),
        ("metrics port", lambda: _port(settings, settings.server.metrics_port, "/metrics", serves=serves)),
        ("certificate", lambda: _certificate(settings)),
        ("clock", lambda: _clock(settings)),
        ("machine", lambda: _machine(settings)),
        ("file descriptors", _descriptors),
    )
    for name, check in checks:
        yield _finding(name, check)
    yield _address(settings)
    yield from _models(settings)


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except (OperatorError, StorageUnavailable) as wrong:
        return Finding(name, False, str(wrong))
    except OSError as wrong:
        return Finding(name, False, f"{wrong.filename or name}: {wrong.strerror or wrong}")


def _configuration(settings: Settings) -> str:
    from ..auth.outside import OutsideIssuers

    gunicorn_settings(settings)
    OutsideIssuers(settings.tokens.outside_issuers)
    file = settings.home / "config.toml"
    return f"{file} is read" if file.exists() else "defaults and environment, as there is no config.toml"


def _home(settings: Settings, *, serves: bool) -> str:
    home = settings.home
    if not home.is_dir():
        raise OperatorError(f"{home} is missing: run `secure-ml-api init` with the same --home")
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OperatorError(f"{home} can be written by others: chmod 700 {quote(str(home))}")
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise OperatorError(f"{home} cannot be written by this user")
    return f"{home.absolute()} is private" + (", and a server runs on it" if serves else "")


def _keys(settings: Settings) -> str:
    from ..auth.assembly import open_ring
    from ..auth.audit_key import read_audit_key
    from ..models.signing import read_verifying_key

    keys = open_ring(settings).list()
    read_audit_key(settings.keys_directory)
    read_verifying_key(settings.keys_directory)
    active = next(key.kid for key in keys if key.status == "active")
    return f"{len(keys)} token-signing keys, {active} signs; those that sign models and seal the audit trail are there"


def _database(settings: Settings) -> str:
    from ..database.migrate import require_migrated

    require_migrated(settings.database_url)
    return f"{'PostgreSQL' if settings.database.url.startswith('postgres') else 'SQLite'} answers and is up to date"


def _audit(settings: Settings) -> str:
    from ..auth.assembly import open_trail
    from ..database.engine import Database

    database = Database(settings.database_url, settings.database.timeout_seconds)
    try:
        trail = open_trail(settings, database)
        broken = trail.verify_head()
        if broken is not None:
            raise OperatorError(f"line {broken.id}: {broken.why}; `secure-ml-api audit verify` says what that means")
        return f"the head is sealed, at line {trail.head().last.id}; `audit verify` looks at every line"
    except (StorageUnavailable, KeyFileError):
        return "not looked at, as its key is missing or the database does not answer"  # which have lines of their own
    finally:
        database.close()


def _state(settings: Settings, *, serves: bool) -> str:
    from ..quota.opening import open_counters

    if not settings.state.url and not serves:
        free = os.statvfs(settings.home)
        if free.f_bavail * free.f_frsize < settings.state.size_bytes:
            raise OperatorError(f"{settings.home}: less than state.size_bytes ({settings.state.size_bytes}) is free")
        return "LMDB in the home, made at the start of the server; there is room for it"
    if not open_counters(settings.state, settings.run_directory).check():
        raise OperatorError("the store that state.url names does not answer")
    return "the counters answer"


def _port(settings: Settings, port: int, path: str, *, serves: bool) -> str:
    host = settings.server.host
    complaint = port_complaint(host, port)
    if complaint is None:
        return f"{host} port {port} is free"
    tls = bool(settings.server.tls_certificate) and port == settings.server.port
    if serves and _answers(host, port, path, tls=tls):
        return f"{host} port {port} is the running server's"
    raise OperatorError(f"{host} port {port} {complaint}; choose another in the section [server]")


def _address(settings: Settings) -> Finding:
    warning = exposure(settings.server)
    if warning is not None:
        return Finding("address", True, warning, warns=True)
    return Finding("address", True, f"{settings.server.host} is inner, or there is a proxy or TLS between")


def _answers(host: str, port: int, path: str, *, tls: bool) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    if tls:
        # Whose certificate it is matters to clients; here the question is whether anything speaks TLS at all.
        connection = http.client.HTTPSConnection(host, port, timeout=5, context=ssl._create_unverified_context())  # noqa: S323, SLF001
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except ssl.SSLError as error:
        return "CERTIFICATE_REQUIRED" in str(error).upper().replace(" ", "_")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _certificate(settings: Settings) -> str:
    files = TlsFiles.of(settings)
    if files is None:
        return "none: plain HTTP, for this machine or behind a proxy"
    ends_at = secured(files).ends_at
    days = (ends_at - datetime.now(UTC)).total_seconds() / 86400
    said = f"{files.certificate} ends at {ends_at:%Y-%m-%dT%H:%M:%SZ}"
    if days < _CERTIFICATE_DAYS:
        raise OperatorError(f"{said}: put a new one and its key in the place of the files; the server reads them then")
    return f"{said}, in {days:.0f} days; its key fits and is private"


def _clock(settings: Settings) -> str:
    now = time.time()
    newest = max((path.stat().st_mtime for path in _dated_files(settings)), default=0.0)
    if now < _EARLIEST or now < newest - _CLOCK_TOLERANCE_SECONDS:
        raise OperatorError("the clock stands before files of the home were written: set it, tokens depend on it")
    return time.strftime("%Y-%m-%dT%H:%M:%SZ, later than every file of the home", time.gmtime(now))


def _dated_files(settings: Settings) -> Iterator[Path]:
    for pattern in ("config.toml", "data.db", "keys/*", "models/*/*/manifest.json"):
        yield from settings.home.glob(pattern)


def _machine(settings: Settings) -> str:
    server = settings.server
    workers = worker_count(server.workers)
    if workers > 4 * usable_cpus():
        raise OperatorError(f"server.workers: {workers} workers would share {usable_cpus()} CPUs; 0 chooses a number")
    gibibytes = usable_bytes() / 2**30
    return f"{workers} workers of {server.threads} threads on {usable_cpus()} CPUs with {gibibytes:.1f} GiB of memory"


def _descriptors() -> str:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * SPARE_DESCRIPTORS:
        raise OperatorError(f"a process may open {hard} files, too few for connections: raise `ulimit -Hn`")
    return "no limit" if hard == resource.RLIM_INFINITY else f"a process may open {hard}"


def _models(settings: Settings) -> Iterator[Finding]:
    """Verify and load every version of every model and run it on its own sample, as a worker does at its start."""
    from ..models.installed import installed
    from ..models.registry import Registry
    from ..models.store import Store

    try:
        runtimes = installed(settings.inference.runtimes, settings.inference.architectures)
        registry = Registry(Store.of(settings), threads=settings.inference.threads_per_run, runtimes=runtimes)
        registry.load()
        registry.start_worker()
        registry.warm_up()
    except OperatorError as wrong:
        yield Finding("models", False, str(wrong))
        return
    for model in registry.models():
        yield Finding(f"model {model.name}/{model.version}", True, f"verified, {model.runtime}, answers on its sample")
    for where, problem in registry.problems.items():
        yield Finding(f"model {where}", False, problem)
    if not registry.models() and not registry.problems:
        yield Finding("models", True, "there are none: `secure-ml-api models pack` makes one")

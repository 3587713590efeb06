"""The server as gunicorn sees it: settings and application are built in the master, before the fork."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.config import Config

from ..errors import HomeError, SettingsError
from ..inference.reception import Reception
from ..settings import Settings
from ..telemetry import slots
from ..telemetry.logs import capture_stderr, configure_logging
from .arbiter import ServerArbiter
from .board import Board
from .certificates import Certificates
from .config import bound_library_threads, forbid_core_files, gunicorn_settings, raise_descriptor_limit
from .exposure import exposure
from .lock import lock_home
from .metrics_door import MetricsDoor
from .ports import check_ports
from .program import Company, Program, standard_program
from .tls import TlsFiles, check_certificate

logger = logging.getLogger(__name__)

_FIXED = ("host", "port", "metrics_port")


class ServerApplication(BaseApplication):  # type: ignore[misc]
    """Holds the current settings and the application built from them; ``read`` reads the settings anew."""

    callable: MetricsDoor | None

    def __init__(self, read: Callable[[], Settings], program: Program) -> None:
        self._read = read
        self._program = program
        self._app: Any = None
        self._has_models = False
        self.settings = read()
        self.board = Board()
        self.certificates = _certificates(self.settings)
        self._previous: tuple[Settings, Any, Any, MetricsDoor | None, Certificates | None] | None = None
        super().__init__()

    def do_load_config(self) -> None:
        self.cfg = self._config(self.settings)

    def load(self) -> MetricsDoor:
        """The WSGI callable for both ports; for gunicorn, in the master."""
        self._has_models = self.settings.models_directory.is_dir()
        self._app, door = self._built(self.settings)
        return door

    def reload(self) -> None:
        """Nothing: ``renew`` does it, and can say no."""

    def renew(self) -> bool:
        """Take over new settings and an application built from them; False, with one log line, when that fails."""
        try:
            settings = self._read()
            for key in _FIXED:
                if getattr(settings.server, key) != getattr(self.settings.server, key):
                    raise SettingsError(f"server.{key} changes with a restart, not with a reload")
            if bool(settings.server.tls_certificate) != bool(self.settings.server.tls_certificate):
                raise SettingsError("server.tls_certificate comes and goes with a restart, not with a reload")
            has_models = settings.models_directory.is_dir()
            if self._has_models and not has_models:  # a disk that is away, rather than a wish to serve nothing
                where = settings.models_directory
                raise HomeError(f"{where} is missing, and models of it are served; put it back, or stop the server")
            cfg = self._config(settings)
            certificates = _certificates(settings)
            app, door = self._built(settings)
        except Exception as error:  # noqa: BLE001 — whatever it is, the configuration that serves must go on serving
            logger.error("reload refused, the old configuration keeps serving: %s", error)  # noqa: TRY400
            return False
        self._previous = (self.settings, self.cfg, self._app, self.callable, self.certificates)
        self.settings, self.cfg, self._app, self.callable, self.certificates = settings, cfg, app, door, certificates
        self._has_models = has_models
        configure_logging(settings.telemetry)
        return True

    def keep(self) -> None:
        """The renewed application serves; let go of the one before."""
        if self._previous is not None:
            self._previous = None
            _tidy()

    def revert(self) -> None:
        """Go back to what served before ``renew``, as no worker could start with what it made."""
        if self._previous is None:
            return
        self.settings, self.cfg, self._app, self.callable, self.certificates = self._previous
        self.keep()
        configure_logging(self.settings.telemetry)
        logger.error("reload refused, the old configuration keeps serving: no worker could start with the new one")

    def start_worker(self, slot: int) -> None:
        self.keep()  # a worker needs no way back
        self._program.offer_relief(self._app, partial(self.board.ask_for_relief, slot))
        self._program.start_worker(self._app, slot)

    def in_place_rule(self) -> Callable[[str, str, int], bool]:
        """In a worker: (method, path, bytes of the body) → whether the answer to such a request needs no waiting."""
        return partial(self._program.takes_in_place, self._app)

    def company(self) -> Company | None:
        """In a worker: what answers several requests at once, where the application has that."""
        return self._program.company(self._app)

    def reception(self) -> Reception:
        """In a worker: what it asks before it gives a request to the application."""
        return self._program.reception(self._app)

    def begin_drain(self) -> None:
        try:
            self._program.begin_drain(self._app)
        except Exception:
            logger.exception("the application could not be told that the server stops")

    def leave(self, seconds: float) -> None:
        try:
            self._program.leave(self._app, seconds)
        except Exception:
            logger.exception("the application could not be told that this worker goes")

    def stop_worker(self) -> None:
        self._program.stop_worker(self._app)

    def drop_slot(self, slot: int) -> None:
        try:
            self._program.drop_slot(self._app, slot)
        except Exception:
            logger.exception("what a dead worker held could not be given back")

    def run(self) -> NoReturn:
        """Serve until a signal ends it; exits with 0, or with 1 when the server could not start."""
        master = os.getpid()
        try:
            ServerArbiter(self).run()
        except SystemExit as stop:
            if os.getpid() == master and stop.code:
                sys.exit(1)
            raise
        sys.exit(0)

    def _config(self, settings: Settings) -> Config:
        cfg = Config(prog="secure-ml-api")
        for key, value in gunicorn_settings(settings).items():
            cfg.set(key, value)
        cfg.validate()
        return cfg

    def _built(self, settings: Settings) -> tuple[Any, MetricsDoor]:
        app = self._program.create(settings)
        _tidy()
        return app, MetricsDoor(app, settings.server.metrics_port, partial(self._program.exposition, app))


def _certificates(settings: Settings) -> Certificates | None:
    files = TlsFiles.of(settings)
    return None if files is None else Certificates(files)


def _tidy() -> None:
    """Collect what is garbage, then keep the collector of the workers off the pages that they share with the master."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def serve(
    read: Callable[[], Settings], prepare: Callable[[Settings], None], program: Program | None = None
) -> NoReturn:
    """Serve the home of the settings that ``read`` returns, until a signal ends it.

    ``prepare`` is called with them when no other server has the home and the ports are free. Raises OperatorError when
    the server cannot start; from then on every line on stderr is a JSON object.
    """
    settings = read()
    os.umask(0o077)
    lock_home(settings.home)
    gunicorn_settings(settings)
    check_certificate(settings)
    check_ports(settings.server)
    bound_library_threads(settings.inference.threads_per_run)
    raise_descriptor_limit()
    forbid_core_files()
    prepare(settings)
    configure_logging(settings.telemetry)
    warning = exposure(settings.server)
    if warning is not None:
        logger.warning(warning)
    _wipe_run_directory(settings)
    application = ServerApplication(read, program or standard_program())
    application.wsgi()
    capture_stderr()
    application.run()


def _wipe_run_directory(settings: Settings) -> None:
    """Wipe ``run/``: nothing in it is worth keeping over a start, and all of it would be wrong.

    Raises HomeError for a link: what it points to is not ours to wipe, nor to trust with what workers share; and when
    the home cannot be written.
    """
    if settings.run_directory.is_symlink():
        raise HomeError(f"{settings.run_directory} is a link; remove it, and the server makes a directory of its own")
    try:
        if settings.run_directory.exists():
            shutil.rmtree(settings.run_directory)
        settings.run_directory.mkdir(mode=0o700)
        slots.use_directory(settings.run_directory / "metrics")
    except OSError as error:
        remedy = "the server needs a home that it may write to"
        raise HomeError(f"{settings.run_directory}: {error.strerror}; {remedy}") from None

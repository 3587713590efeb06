"""The application in the master: built, renewed, reverted, and let go of."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.errors import OperatorError
from secure_ml_api.server.application import ServerApplication
from secure_ml_api.server.program import Program
from secure_ml_api.settings import Settings, read_settings


class App:
    """As an application is: in a cycle with itself."""

    def __init__(self, settings: Settings) -> None:
        if settings.tokens.audience == "bad":
            raise OperatorError("cannot be built")
        self.settings = settings
        self.itself = self


def nothing(*_: object) -> None:
    """A part of the program's life that these tests do not look at."""


class Master:
    """A ServerApplication whose settings the test chooses."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.server: dict[str, Any] = {}
        self.audience = "first"
        program = Program(App, nothing, nothing, nothing, nothing, lambda app: (b"", ""))
        self.application = ServerApplication(self.read, program)
        self.application.wsgi()

    def read(self) -> Settings:
        return read_settings(self.home, {}, tokens={"audience": self.audience}, server=self.server)

    @property
    def serves(self) -> str:
        app: App = self.application._app
        return app.settings.tokens.audience

    def watch(self) -> weakref.ref[App]:
        return weakref.ref(self.application._app)


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Master]:
    monkeypatch.setattr("secure_ml_api.server.application.configure_logging", nothing)
    yield Master(tmp_path)
    gc.unfreeze()


def test_renewed_application_is_built_from_new_settings(master: Master) -> None:
    master.audience, master.server = "second", {"threads": 3}
    assert master.application.renew()
    assert master.serves == "second"
    assert master.application.cfg.threads == 3


@pytest.mark.parametrize(
    ("audience", "server"),
    [("bad", {}), ("first", {"port": 1}), ("first", {"threads": 0}), ("first", {"trusted_proxies": ["proxy.local"]})],
)
def test_settings_that_cannot_serve_change_nothing(master: Master, audience: str, server: dict[str, Any]) -> None:
    before = (master.application.settings, master.application.cfg, master.application.callable)
    master.audience, master.server = audience, server
    assert not master.application.renew()
    assert (master.application.settings, master.application.cfg, master.application.callable) == before


def test_reload_that_would_serve_nothing_as_the_models_folder_is_gone_is_refused(
    master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    models = master.home / "models"
    models.mkdir()
    assert master.application.renew()  # there were none at the start: from here on they serve
    models.rename(master.home / "aside")
    master.audience = "second"
    assert not master.application.renew()
    assert master.serves == "first"
    assert f"{models} is missing, and models of it are served" in caplog.messages[-1]
    (master.home / "aside").rename(models)
    assert master.application.renew()
    assert master.serves == "second"


def test_reverted_application_is_the_one_before(master: Master) -> None:
    before = master.application.callable
    master.audience = "second"
    master.application.renew()
    master.application.revert()
    assert (master.serves, master.application.callable) == ("first", before)


def test_old_application_is_freed_once_the_new_one_serves(master: Master) -> None:
    for audience in ("second", "third"):
        old = master.watch()
        master.audience = audience
        master.application.renew()
        assert old() is not None
        master.application.keep()
        assert old() is None


def test_new_application_is_freed_when_it_is_given_up(master: Master) -> None:
    master.audience = "second"
    master.application.renew()
    given_up = master.watch()
    master.application.revert()
    assert given_up() is None

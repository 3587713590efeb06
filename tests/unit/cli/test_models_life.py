"""What is decided about a model from the terminal: said in words, written to the home, refused with a reason."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from threading import Thread

import pytest

from secure_ml_api.cli.init import prepare
from secure_ml_api.models.changes import Changes
from secure_ml_api.models.life import Canary, Life
from secure_ml_api.models.store import Store
from secure_ml_api.settings import read_settings
from support.caretaking import report
from support.packages import publish
from support.server import wait_until
from support.terminal import Terminal


class Console(Terminal):
    """What commands print, without the space around it."""

    def run(self, *arguments: str) -> tuple[int, str, str]:
        status, out, err = super().run(*arguments)
        return status, out.strip(), err.strip()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two versions of ``tiny``, the second of which was measured."""
    home = tmp_path / "home"
    prepare(read_settings(home, {}), examples=False)
    store = Store.of(read_settings(home, {}))
    publish(store, version="1")
    publish(store, version="2", metrics={"accuracy": 0.93, "log loss": 0.2})
    return home


@pytest.fixture
def store(home: Path) -> Store:
    return Store.of(read_settings(home, {}))


@pytest.fixture
def console(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Console:
    return Console(home, capsys, monkeypatch)


def test_decisions_are_said_in_words_and_hold_from_the_next_start_without_a_server(
    console: Console, store: Store
) -> None:
    store.promote("tiny", "1")
    assert console.run("unload", "tiny") == (0, "tiny does not serve from the next start on", "")
    assert store.life("tiny") == Life(unloaded=True)
    assert console.run("load", "tiny") == (0, "tiny serves from the next start on", "")
    words = "tiny/2 answers 25 % of the callers from the next start on"
    assert console.run("canary", "tiny", "2", "--percent", "25", "--max-error-rate", "0.1") == (0, words, "")
    canary = store.life("tiny").canary
    assert canary is not None
    assert canary.model_copy(update={"trial": ""}) == Canary(version="2", percent=25, max_error_rate=0.1)
    words = "tiny/2 stands in the shadow of what serves from the next start on"
    assert console.run("shadow", "tiny", "2") == (0, words, "")
    assert console.run("canary", "tiny", "--off") == (0, "tiny has no canary from the next start on", "")
    assert console.run("shadow", "tiny", "--off") == (0, "tiny has no shadow from the next start on", "")
    assert store.life("tiny") == Life()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote", "tiny", "1"], "tiny/1 is in production on all workers now (1)"),
        (["remove", "tiny", "1"], "removed tiny/1 on all workers now (1)"),
    ],
)
def test_where_a_server_runs_its_workers_are_waited_for(
    console: Console, home: Path, arguments: list[str], said: str
) -> None:
    changes = Changes(home / "run")
    report(changes, 0, 0, {})

    def take() -> None:
        wait_until(lambda: changes.wanted().number)
        report(changes, 0, changes.wanted().number, {})

    worker = Thread(target=take)
    worker.start()
    assert console.run(*arguments) == (0, said, "")
    worker.join()


def test_workers_are_told_of_the_last_version_that_is_removed(console: Console, home: Path, store: Store) -> None:
    store.remove("tiny", "2")
    changes = Changes(home / "run")
    report(changes, 0, sys.maxsize, {})
    assert console.run("remove", "tiny", "1") == (0, "removed tiny/1 on all workers now (1)", "")
    assert "tiny" in changes.wanted().again


def test_what_a_worker_finds_wrong_is_said(console: Console, home: Path) -> None:
    changes = Changes(home / "run")
    report(changes, 0, sys.maxsize, {"tiny/2": "tiny/2: model.onnx is missing", "other/1": "other/1: something else"})
    status, _, err = console.run("load", "tiny")
    assert (status, err) == (1, "secure-ml-api: it is decided, and the server says: tiny/2: model.onnx is missing")
    assert changes.reports()[0].pid == os.getpid()


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        (["accuracy>=0.95"], "tiny/2 has accuracy = 0.93, and accuracy>=0.95 is asked; not promoted"),
        (["accuracy>=0.9", "log loss<0.1"], "tiny/2 has log loss = 0.2, and log loss<0.1 is asked; not promoted"),
        (["f1>0.5"], "tiny/2 has no metric 'f1' (it has accuracy, log loss); not promoted"),
    ],
)
def test_version_that_is_not_good_enough_is_not_promoted(
    console: Console, store: Store, conditions: list[str], reason: str
) -> None:
    arguments = [part for condition in conditions for part in ("--if", condition)]
    assert console.run("promote", "tiny", "2", *arguments) == (1, "", f"secure-ml-api: {reason}")
    assert store.aliases("tiny") == {}


def test_version_that_is_good_enough_is_promoted(console: Console, store: Store) -> None:
    status, _, _ = console.run("promote", "tiny", "2", "--if", "accuracy >= 0.93", "--if", "log loss<=0.2")
    assert (status, store.aliases("tiny")["production"]) == (0, "2")


@pytest.mark.parametrize("condition", ["accuracy", "accuracy==1", ">=1", "accuracy>=many", "accuracy>=1e", ""])
def test_condition_that_is_none_is_bad_usage(console: Console, condition: str) -> None:
    status, _, err = console.run("promote", "tiny", "2", "--if", condition)
    assert status == 2
    assert "is not like accuracy>=0.95" in err


@pytest.mark.parametrize("arguments", [["canary", "tiny"], ["shadow", "tiny"], ["canary", "tiny", "2", "--off"]])
def test_version_or_off_has_to_be_said(console: Console, arguments: list[str]) -> None:
    status, _, err = console.run(*arguments)
    assert status == 2
    assert "name a version, or give --off" in err


def test_where_the_models_are_read_only_nothing_is_decided_and_the_words_say_where_to(
    console: Console, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/srv/models/tiny/.life.json.2tz0y50i")

    monkeypatch.setattr("secure_ml_api.models.store.write_life", refused)
    words = f"{store.models_directory}: Read-only file system; decide about models where it can be written"
    assert console.run("unload", "tiny") == (1, "", f"secure-ml-api: {words}")


def test_a_full_disk_is_told_as_such_with_the_place(
    console: Console, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/models/tiny/.life.json.2tz0y50i")

    monkeypatch.setattr("secure_ml_api.models.store.write_life", refused)
    words = "/srv/models/tiny/.life.json.2tz0y50i: No space left on device"
    assert console.run("unload", "tiny") == (1, "", f"secure-ml-api: {words}")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--percent", "nan"], "Invalid value for '--percent': nan is not a finite number."),
        (["--max-error-rate", "nan"], "Invalid value for '--max-error-rate': nan is not a finite number."),
        (["--max-latency-ratio", "inf"], "Invalid value for '--max-latency-ratio': inf is not a finite number."),
    ],
)
def test_bound_of_a_canary_that_is_no_number_is_bad_usage(console: Console, arguments: list[str], reason: str) -> None:
    status, _, err = console.run("canary", "tiny", "2", *arguments)
    assert (status, reason in err) == (2, True)


def test_version_that_there_cannot_be_is_bad_usage(console: Console) -> None:
    status, _, err = console.run("canary", "tiny", "../../x")
    assert (status, "'../../x' is not a version that a package can have" in err) == (2, True)


@pytest.mark.parametrize("trial", ["canary", "shadow"])
def test_trial_of_what_serves_already_is_warned_of(console: Console, store: Store, trial: str) -> None:
    store.promote("tiny", "2")
    status, _, err = console.run(trial, "tiny", "2")
    warning = "secure-ml-api: warning: tiny/2 is what serves; its trial begins when another version is promoted"
    assert (status, err) == (0, warning)


def test_latency_of_a_canary_of_all_callers_has_nothing_to_be_compared_with(console: Console, store: Store) -> None:
    status, _, err = console.run("canary", "tiny", "2", "--percent", "100", "--max-latency-ratio", "2")
    assert status == 2
    assert "give --percent below 100" in err
    assert store.life("tiny") == Life()


@pytest.mark.parametrize("arguments", [["load"], ["unload"], ["shadow", "--off"], ["canary", "--off"]])
def test_model_that_there_is_not_is_refused(console: Console, arguments: list[str]) -> None:
    command, *rest = arguments
    assert console.run(command, "nothing", *rest) == (1, "", "secure-ml-api: nothing: there is no such model")


def test_an_alias_is_set_moved_and_taken_away(console: Console, store: Store) -> None:
    assert console.run("alias", "tiny", "candidate", "2") == (
        0,
        "tiny/candidate is tiny/2 from the next start on",
        "",
    )
    assert store.aliases("tiny") == {"candidate": "2"}
    assert console.run("alias", "tiny", "candidate", "1")[0] == 0
    assert store.aliases("tiny") == {"candidate": "1"}
    assert console.run("alias", "tiny", "candidate", "--off")[0] == 0
    assert store.aliases("tiny") == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("production", "2"), "models promote"),
        (("previous", "--off"), "models promote"),
        (("2", "1"), "a version"),
        (("7", "1"), "may become a version"),
        (("../up", "1"), "cannot be an alias"),
        (("candidate", "9"), "tiny/9"),
        (("candidate", "--off"), "no alias"),
    ],
)
def test_an_alias_that_would_mislead_is_refused(
    console: Console, store: Store, arguments: tuple[str, ...], said: str
) -> None:
    status, out, err = console.run("alias", "tiny", *arguments)
    assert (status, out) == (1, "")
    assert said in err
    assert store.aliases("tiny") == {}

"""A framework that cannot be imported is never a green run where everything should be there."""

from __future__ import annotations

import pytest

from support.lazily import Lazily


def test_a_missing_module_skips_the_test_that_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no_such_framework cannot be imported"):
        _ = Lazily("no_such_framework").something


def test_a_missing_module_fails_the_test_that_asks_for_it_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="no_such_framework") as ended:
        _ = Lazily("no_such_framework").something
    assert isinstance(ended.value, pytest.fail.Exception)

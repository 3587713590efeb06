"""What frameworks leave in memory when they are imported."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_ml_api.runtimes.libraries import for_good

_SKLEARN = """
import gc
from secure_ml_api.runtimes.skops_files import skops_io
before = len(gc.get_objects())
skops_io()
print(len(gc.get_objects()) - before, gc.isenabled())
"""


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_an_imported_library_leaves_is_not_looked_through_for_garbage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library_of_test.py").write_text("THINGS = [[] for _ in range(1000)]")
    monkeypatch.syspath_prepend(str(tmp_path))
    with for_good():
        import library_of_test  # type: ignore[import-not-found]
    looked_at = {id(each) for each in gc.get_objects()}
    assert not looked_at & {id(thing) for thing in library_of_test.THINGS}


def test_where_nothing_new_is_imported_all_is_looked_at_as_before() -> None:
    before = gc.get_freeze_count()
    with for_good():
        import json  # noqa: F401
    assert gc.get_freeze_count() == before
    assert gc.isenabled()


@pytest.mark.slow
def test_scikit_learn_is_not_looked_through_whenever_a_model_goes() -> None:
    told = subprocess.run([sys.executable, "-c", _SKLEARN], capture_output=True, text=True, check=True, timeout=100)
    grown, enabled = told.stdout.split()
    assert int(grown) < 10_000
    assert enabled == "True"

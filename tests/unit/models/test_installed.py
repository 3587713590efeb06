"""Runtimes that others wrote: loaded when they are named, and never otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from secure_ml_api.errors import SettingsError
from secure_ml_api.models.installed import installed
from secure_ml_api.models.model import RUNTIMES

MODULE = """
class Mine:
    name, fork_safe = "mine", True
    def load(self, artifact, threads):
        raise NotImplementedError

class Misnamed(Mine):
    name = "yours"

class Odd(Mine):
    framework = 1

def broken():
    raise OSError("no such\\nlibrary")
"""


def distribution(directory: Path, module: str, **points: str) -> None:
    """An installed distribution, as an installer leaves it."""
    metadata = directory / f"{module}-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    lines = [f"{name} = {module}:{place}" for name, place in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[secure_ml_api.runtimes]", *lines]))
    (directory / f"{module}.py").write_text(MODULE)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_without_a_list_there_are_the_built_in_ones_and_nothing_else_is_imported(place: Path) -> None:
    distribution(place, "unasked_runtime", mine="Mine")
    assert installed() == RUNTIMES
    assert "unasked_runtime" not in sys.modules


def test_a_runtime_that_is_named_is_loaded_beside_the_built_in_ones_and_only_that(place: Path) -> None:
    distribution(place, "asked_runtime", mine="Mine")
    distribution(place, "other_runtime", theirs="Mine")
    found = installed(["mine", "mine"])
    assert [runtime.name for runtime in found] == [*(runtime.name for runtime in RUNTIMES), "mine"]
    assert "other_runtime" not in sys.modules


@pytest.mark.parametrize(
    ("point", "asked", "complaint"),
    [
        ("Mine", "other", "'other' is not installed"),
        ("Mine", "onnx", "'onnx' is built in and cannot be replaced"),
        ("Mine", "../mine", "cannot be the name of a runtime"),
        ("Misnamed", "mine", "'mine' of wrong_runtime is no runtime of that name"),
        ("Odd", "mine", "'mine' of wrong_runtime is no runtime of that name"),
        ("broken", "mine", r"does not load \(OSError: no such library\)"),
        ("missing", "mine", r"does not load \(AttributeError"),
        ("__doc__", "mine", r"does not load \(AttributeError"),
    ],
)
def test_what_is_wrong_with_the_list_is_said_in_one_line(place: Path, point: str, asked: str, complaint: str) -> None:
    distribution(place, "wrong_runtime", mine=point)
    with pytest.raises(SettingsError, match=complaint) as refused:
        installed([asked])
    assert "\n" not in str(refused.value)


def test_a_built_in_runtime_cannot_be_replaced_by_installing_one_of_its_name(place: Path) -> None:
    distribution(place, "false_onnx_runtime", onnx="Mine")
    assert installed() == RUNTIMES
    with pytest.raises(SettingsError, match="built in"):
        installed(["onnx"])
    assert "false_onnx_runtime" not in sys.modules


def test_a_name_that_two_distributions_offer_is_refused_naming_both(place: Path) -> None:
    distribution(place, "first_runtime", mine="Mine")
    distribution(place, "second_runtime", mine="Mine")
    with pytest.raises(SettingsError, match="offered by first_runtime, second_runtime"):
        installed(["mine"])
    assert "first_runtime" not in sys.modules

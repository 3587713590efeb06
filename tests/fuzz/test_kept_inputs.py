"""Every input that fuzzing begins with, and every one that ever broke a promise, keeps all promises now."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.targets import TARGETS, kept_inputs

KEPT = [(target, path) for target in TARGETS for path in kept_inputs(target)]


@pytest.mark.parametrize(("target", "path"), KEPT, ids=[f"{target}-{path.name}" for target, path in KEPT])
def test_kept_input_keeps_every_promise(target: str, path: Path) -> None:
    TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_inputs_to_begin_with(target: str) -> None:
    assert kept_inputs(target)

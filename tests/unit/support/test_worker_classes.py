"""Which faults are tried with which class of workers."""

from __future__ import annotations

import pytest

from support.worker_classes import CLASSES, Case, dealt
from support.workers import group_of

FAULTS = ["stopped", "frozen", "slow", "gone"]


def test_where_figures_are_kept_each_fault_is_tried_with_each_class() -> None:
    cases = dealt(FAULTS, to_all=True)
    assert set(cases) == {Case(fault, name) for fault in FAULTS for name in CLASSES}
    assert len(cases) == len(FAULTS) * len(CLASSES)


@pytest.mark.parametrize("faults", [FAULTS, FAULTS[:3], FAULTS[:1]])
def test_otherwise_each_fault_is_tried_once_and_the_classes_have_as_many_each(faults: list[str]) -> None:
    cases = dealt(faults, to_all=False)
    assert sorted(case.fault for case in cases) == sorted(faults)
    having = [sum(case.worker_class == name for case in cases) for name in CLASSES]
    assert max(having) - min(having) <= 1


@pytest.mark.parametrize("to_all", [False, True])
def test_a_server_changes_its_class_once(to_all: bool) -> None:
    classes = [case.worker_class for case in dealt(FAULTS, to_all=to_all)]
    assert classes == sorted(classes, key=CLASSES.index)


def test_faults_of_one_server_are_tried_by_one_process() -> None:
    groups = {group_of(f"faults/test_a.py::test_b[{case}]") for case in dealt(FAULTS, to_all=True)}
    assert groups == {group_of("faults/test_a.py::test_c")}

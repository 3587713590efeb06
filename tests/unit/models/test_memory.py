"""Memory of models that were unloaded."""

from __future__ import annotations

import ctypes
import gc
import mmap
import platform
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from weakref import ref

import pytest

from secure_ml_api.models.memory import _parts_outside, give_memory_back, into_large_pages, let_go
from secure_ml_api.models.registry import Registry
from secure_ml_api.runtimes.libraries import for_good
from support.packages import publish, store_in

_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_IS_ALWAYS = _SETTING.exists() and "[always]" in _SETTING.read_text()
_CONTENT = bytes(range(256)) * (256 * 1024)  # 64 MiB


def _kib(address: int, what: str = "AnonHugePages") -> int:
    """KiB of the memory around ``address`` that are in large pages, or what else the kernel counts of it."""
    is_there = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            is_there = int(match[1], 16) <= address < int(match[2], 16)
        elif is_there and line.startswith(f"{what}:"):
            return int(line.split()[1])
    raise AssertionError("no memory is there")


def _taken() -> tuple[mmap.mmap, int]:
    """Memory as a library takes it for much, and an address in it; NumPy would ask for large pages by itself."""
    memory = mmap.mmap(-1, len(_CONTENT), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory)) + len(_CONTENT) // 2


def _written() -> tuple[mmap.mmap, int]:
    memory, middle = _taken()
    memory[:] = _CONTENT
    return memory, middle


def _has_collapse() -> bool:
    release = [int(number) for number in re.findall(r"\d+", platform.release())[:2]]
    return _SETTING.exists() and release >= [6, 1]


@pytest.mark.skipif(not _has_collapse(), reason="the kernel makes no large pages of others: Linux before 6.1")
def test_what_is_allocated_meanwhile_is_in_large_pages_afterwards_and_is_what_it_was() -> None:
    with into_large_pages():
        memory, middle = _written()
    assert _kib(middle) >= 32 * 1024
    assert memory[:] == _CONTENT


def test_what_is_hardly_used_of_what_was_reserved_takes_no_more_memory() -> None:
    with into_large_pages():
        memory, middle = _taken()
        for place in range(0, len(_CONTENT), 1024 * 1024):
            memory[place] = 7
    assert _kib(middle, "Rss") < 16 * 1024 or _IS_ALWAYS


def test_what_was_there_before_is_left_as_it_is() -> None:
    _memory, middle = _written()
    before = _kib(middle)
    with into_large_pages():
        pass
    assert _kib(middle) == before


@pytest.mark.parametrize(
    ("before", "pieces", "new"),
    [
        ([], [(0, 9)], [(0, 9)]),
        ([(0, 9)], [(0, 9)], []),
        ([(5, 9)], [(0, 9)], [(0, 5)]),
        ([(0, 5)], [(0, 9)], [(5, 9)]),
        ([(2, 3), (5, 6)], [(0, 9)], [(0, 2), (3, 5), (6, 9)]),
        ([(0, 9)], [(3, 5)], []),
        ([(0, 2), (8, 9)], [(2, 8)], [(2, 8)]),
    ],
)
def test_new_memory_is_told_from_what_it_lies_beside(
    before: list[tuple[int, int]], pieces: list[tuple[int, int]], new: list[tuple[int, int]]
) -> None:
    assert _parts_outside(before, pieces) == new


def test_models_go_one_by_one_and_others_have_the_interpreter_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held:
        runtime, is_frozen = "onnx", False

    held: list[Any] = [Held() for _ in range(3)]
    seen = [ref(each) for each in held]
    alive: list[int] = []
    monkeypatch.setattr("time.sleep", lambda _: alive.append(sum(each() is not None for each in seen)))
    let_go(held)
    assert alive == [2, 1, 0]


@pytest.mark.parametrize(
    ("runtime", "is_frozen", "is_gone"),
    [("tensorflow", True, True), ("of-others", True, True), ("tensorflow", False, False), ("onnx", True, False)],
)
def test_a_model_that_may_hold_itself_goes_also_if_it_was_there_when_a_framework_came(
    runtime: str, *, is_frozen: bool, is_gone: bool
) -> None:
    class Held:
        def __init__(self) -> None:
            self.runtime, self.is_frozen = runtime, is_frozen
            self.itself = self

    held: list[Any] = [Held()]
    seen = ref(held[0])
    gc.freeze()
    try:
        let_go(held)
        assert (seen() is None) == is_gone
    finally:
        gc.unfreeze()
        gc.collect()


def test_a_model_knows_whether_a_framework_came_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "framework_after_a_model.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    store = store_in(tmp_path / "home")
    publish(store)
    registry = Registry(store)
    registry.load()
    registry.warm_up()
    (model,) = registry.models()
    assert not model.is_frozen
    with for_good():
        pass  # in which nothing comes
    assert not model.is_frozen
    with for_good():
        __import__("framework_after_a_model")
    gc.unfreeze()
    assert model.is_frozen


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """That of a PyTorch which has used a GPU."""
    used = Mock(spec=["is_initialized", "empty_cache"])
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=used))
    return used


def test_pytorch_gives_a_gpu_its_memory_back_when_what_held_it_is_gone(cuda: Mock) -> None:
    class Network:
        pass

    network = Network()
    network.itself = network  # type: ignore[attr-defined]
    held = ref(network)
    cuda.empty_cache.side_effect = lambda: left.append(held())
    left: list[object] = []
    gc.disable()
    try:
        del network
        assert held() is not None
        give_memory_back()
    finally:
        gc.enable()
    assert left == [None]


def test_pytorch_that_has_used_no_gpu_is_left_alone(cuda: Mock) -> None:
    cuda.is_initialized.return_value = False
    give_memory_back()
    cuda.empty_cache.assert_not_called()


def test_pytorch_is_not_imported_to_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    give_memory_back()
    assert "torch" not in sys.modules

"""Memory of models that were unloaded."""

from __future__ import annotations

import gc
import sys
from types import SimpleNamespace
from unittest.mock import Mock
from weakref import ref

import pytest

from secure_ml_api.models.memory import give_memory_back


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

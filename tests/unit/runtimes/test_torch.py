"""Architectures of PyTorch, which installed distributions offer."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from secure_ml_api.errors import PackageRefused
from secure_ml_api.runtimes import torch


def test_an_architecture_that_two_distributions_offer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them is found first is chance, and its code would run."""
    offered = [EntryPoint("net", f"{module}:build", torch.GROUP) for module in ("theirs", "ours")]
    monkeypatch.setattr(torch, "entry_points", lambda group: offered)
    with pytest.raises(PackageRefused, match=r"'net' is offered by ours:build, theirs:build; uninstall all but one$"):
        torch._architecture("net")

"""Networks that PyTorch itself runs: weights in an architecture that is named, allowed and installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_ml_api.errors import PackageRefused
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.networks.torch_module import TorchNetwork
from secure_ml_api.runtimes.protocol import VerifiedArtifact
from secure_ml_api.runtimes.torch import WEIGHTS_FILE, TorchRuntime
from support.lazily import Lazily
from support.networks import ARCHITECTURE, CLASSES, FEATURES, offer_architecture, torch_module
from support.packages import store_in
from support.packed_networks import ROWS, answers, packed, softmax

pytestmark = pytest.mark.slow

torch = Lazily("torch")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


class Graphless(TorchNetwork):
    """A network that the exporter cannot write."""

    def graph(self, features: int) -> Any:
        from secure_ml_api.packaging.graphs.writer import Inapplicable

        raise Inapplicable("this network has no graph")


@pytest.fixture
def weights(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VerifiedArtifact:
    """A package of weights for an architecture that is installed."""
    monkeypatch.syspath_prepend(str(offer_architecture(tmp_path)))
    parameters = {"features": FEATURES, "classes": CLASSES}
    network = Graphless(torch_module(), architecture=ARCHITECTURE, parameters=parameters)
    assert packed(store, network, allow_native=True).manifest.runtime == "torch"
    return store.verify("net", "1").artifact


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads", "weights")
def test_packing_for_torch_itself_leaves_the_caller_s_process_its_threads() -> None:
    assert torch.get_num_threads() == 3


def test_torch_itself_answers_1000_rows_as_the_module_does(store: Store, weights: VerifiedArtifact) -> None:
    with torch.inference_mode():
        wanted = softmax(torch_module()(torch.from_numpy(ROWS)).numpy())
    np.testing.assert_allclose(answers(store, (ARCHITECTURE,))["probabilities"], wanted, rtol=1e-5, atol=1e-6)


def test_architecture_that_is_not_allowed_is_not_imported(weights: VerifiedArtifact) -> None:
    with pytest.raises(PackageRefused, match=r"not allowed here; name it in inference\.architectures"):
        TorchRuntime(("another",)).load(weights, 1)


def test_architecture_that_is_not_installed_is_refused(
    weights: VerifiedArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [place for place in __import__("sys").path if "architectures" not in place])
    with pytest.raises(PackageRefused, match="no installed distribution"):
        TorchRuntime((ARCHITECTURE,)).load(weights, 1)


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, b"\x02" + bytes(7) + b"{}"])
def test_weights_that_do_not_say_their_architecture_are_refused(weights: VerifiedArtifact, data: bytes) -> None:
    spoiled = VerifiedArtifact(weights.name, weights.version, weights.signature, {WEIGHTS_FILE: data}, weights.digest)
    with pytest.raises(PackageRefused, match="does not say how its network is built"):
        TorchRuntime((ARCHITECTURE,)).load(spoiled, 1)


def test_weights_of_another_network_are_refused(store: Store, weights: VerifiedArtifact) -> None:
    cut = {WEIGHTS_FILE: weights.files[WEIGHTS_FILE].replace(b'"classes\\": 3', b'"classes\\": 4')}
    spoiled = VerifiedArtifact(weights.name, weights.version, weights.signature, cut, weights.digest)
    with pytest.raises(PackageRefused, match="not those of 'small-network'"):
        TorchRuntime((ARCHITECTURE,)).load(spoiled, 1)

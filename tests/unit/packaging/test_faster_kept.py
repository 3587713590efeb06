"""Between a network's graph and its own framework a measurement decides, and what it was is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from secure_ml_api.cli.models_shown import pack_lines
from secure_ml_api.packaging import build as building
from secure_ml_api.packaging import pack as packing
from secure_ml_api.packaging.networks.keras_model import KerasNetwork
from secure_ml_api.packaging.networks.network import EagerSession
from secure_ml_api.packaging.networks.torch_module import TorchNetwork
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack_network
from secure_ml_api.runtimes.onnx import OnnxSession
from secure_ml_api.runtimes.tensorflow import TensorFlowSession
from secure_ml_api.runtimes.torch import TorchSession
from secure_ml_api.tensors import Tensors
from support.lazily import Lazily
from support.networks import ARCHITECTURE, CLASSES, FEATURES, keras_model, offer_architecture, table, torch_module
from support.packages import store_in

pytestmark = pytest.mark.slow

keras = Lazily("keras")


class Watch:
    """A clock that runs while a model does, for as long as is said of its kind, and stands still otherwise."""

    def __init__(self, patch: pytest.MonkeyPatch, milliseconds: dict[type[Any], float]) -> None:
        self.now = 0.0
        for session, each in milliseconds.items():
            patch.setattr(session, "run", self._taking(session.run, each / 1000))

    def __call__(self) -> float:
        return self.now

    def _taking(self, run: Any, seconds: float) -> Any:
        def timed(session: Any, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
            self.now += seconds
            answers: Tensors = run(session, inputs, outputs)
            return answers

        return timed


def torch_network() -> TorchNetwork:
    return TorchNetwork(
        torch_module(), architecture=ARCHITECTURE, parameters={"features": FEATURES, "classes": CLASSES}
    )


def keras_network() -> KerasNetwork:
    return KerasNetwork(keras_model(keras.layers.Dense(CLASSES)))


FRAMEWORKS: dict[str, tuple[Any, type[Any], str]] = {
    "torch": (torch_network, TorchSession, "PyTorch"),
    "tensorflow": (keras_network, TensorFlowSession, "TensorFlow"),
}


@pytest.mark.parametrize(("graph", "itself"), [(1.0, 2.0), (2.0, 1.0)], ids=["graph faster", "framework faster"])
@pytest.mark.parametrize("runtime", FRAMEWORKS)
def test_the_faster_of_graph_and_framework_is_kept_and_both_times_are_told(
    runtime: str, graph: float, itself: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, session, library = FRAMEWORKS[runtime]
    monkeypatch.syspath_prepend(str(offer_architecture(tmp_path)))
    watch = Watch(monkeypatch, {OnnxSession: graph, session: itself, EagerSession: 7.0})

    def build(*given: Any, **named: Any) -> building.Built:
        return building.build(*given, **named, clock=watch)

    monkeypatch.setattr(packing, "build", build)
    options = Options(allow_native=True)
    packed = pack_network(make(), table(), store=store_in(tmp_path), name="net", options=options)
    manifest = packed.manifest
    assert manifest.runtime == ("onnx" if graph < itself else runtime)
    lines = list(pack_lines(manifest, packed.digest, {}))
    times = {line.split("  ")[-1] if "(kept)" not in line else "kept": line.split()[:3] for line in lines}
    told = [f"{each * 1000:.1f}" for each in (graph, itself)]
    assert times["kept"] == [min(told)] * 3
    assert times["as trained"] == ["7000.0"] * 3
    other = f"{library} itself" if graph < itself else manifest.timings[0].graph
    assert times[other] == [max(told)] * 3
    needs = f"the server needs `pip install 'secure-ml-api[{runtime}]'`"
    assert any(needs in line for line in lines) == (manifest.runtime == runtime)

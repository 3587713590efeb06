"""Frameworks in the processes of a server: nothing of them before the fork, and after it as many threads as are set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secure_ml_api.packaging import stopwatch
from secure_ml_api.packaging.networks.keras_model import KerasNetwork
from secure_ml_api.packaging.networks.network import NetworkEstimator
from secure_ml_api.packaging.networks.torch_module import TorchNetwork
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack_network
from support.forked_framework import ROWS
from support.lazily import Lazily
from support.networks import (
    ARCHITECTURE,
    CLASSES,
    FEATURES,
    keras_model,
    offer_architecture,
    table,
    torch_module,
    unwritable,
)
from support.packages import store_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

keras = Lazily("keras")
torch = Lazily("torch")

GIVEN = np.random.default_rng(5).normal(size=(ROWS, FEATURES)).astype(np.float32)
# What TensorFlow starts besides its two pools: one that gives memory back, and one that prepares graphs.
_OTHERS = {"torch": 0, "tensorflow": 2}


@pytest.fixture(scope="module")
def architectures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return offer_architecture(tmp_path_factory.mktemp("architectures"))


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, architectures: Path) -> dict[str, tuple[Path, list[int]]]:
    """For each framework a home with a model that it runs itself, and the labels that it gives GIVEN here."""
    assert torch.nn  # without which there is nothing to test
    networks: dict[str, Any] = {
        "torch": TorchNetwork(
            torch_module(), architecture=ARCHITECTURE, parameters={"features": FEATURES, "classes": CLASSES}
        ),
        "tensorflow": KerasNetwork(keras_model(*unwritable(), keras.layers.Dense(CLASSES))),
    }
    networks["torch"].graphs = lambda: ()
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(architectures))
        patch.setattr(stopwatch, "_SECONDS_EACH", 0.0)
        for name, network in networks.items():
            home = tmp_path_factory.mktemp(name)
            store = store_in(home)
            pack_network(network, table(), store=store, name="net", options=Options(allow_native=True))
            assert store.verify("net", "1").manifest.runtime == name
            labels = NetworkEstimator(network, GIVEN, task="classification").predict(GIVEN)
            made[name] = (home, labels.tolist())
    return made


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_a_framework_is_loaded_after_the_fork_with_as_many_threads_as_are_set(
    framework: str, most: int, homes: dict[str, tuple[Path, list[int]]], architectures: Path
) -> None:
    home, labels = homes[framework]
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "support.forked_framework", str(home), str(most), ARCHITECTURE],
        env={
            **environ,
            "OPENBLAS_NUM_THREADS": "1",  # those of NumPy are bounded by the server itself
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), str(architectures)]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["loaded"] == []
    assert len(told["threads"]) == 1, told["threads"]
    worker = told["worker"]
    assert worker["problems"] == {}
    assert worker["bounds"] == {framework: most, f"{framework} between": most}
    started = len(worker["after"]) - len(worker["before"])
    assert started <= _most_started(framework, most), worker["after"]
    assert worker["answers"] == {"net": labels}


def _most_started(framework: str, most: int) -> int:
    """Besides the thread that asks: PyTorch's two pools have no threads of their own while one thread is enough."""
    return 2 * most + _OTHERS[framework] if framework == "tensorflow" or most > 1 else 0

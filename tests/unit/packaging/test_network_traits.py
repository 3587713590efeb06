"""What a card tells of how a network is made."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from secure_ml_api.packaging.hyperparameters import hyperparameters
from secure_ml_api.packaging.networks.files import estimator_of, matrix_of, read_network
from secure_ml_api.packaging.networks.keras_model import KerasNetwork
from secure_ml_api.packaging.networks.network import Network
from secure_ml_api.packaging.networks.saved_model import SavedModelNetwork
from secure_ml_api.packaging.networks.torch_module import TorchNetwork
from secure_ml_api.packaging.options import Options
from support.lazily import Lazily
from support.networks import CLASSES, FEATURES, keras_model, table, torch_module

pytestmark = pytest.mark.slow

keras = Lazily("keras")
torch = Lazily("torch")


def told(network: Network) -> dict[str, str]:
    return hyperparameters(estimator_of(network, matrix_of(table()), Options(task="classification")))


def test_a_torch_module_tells_its_layers_its_weights_and_its_architecture() -> None:
    parameters = {"features": FEATURES, "place": "/home/someone"}
    assert told(TorchNetwork(torch_module(), architecture="small-network", parameters=parameters)) == {
        "layers": "2 × Linear, Tanh",
        "weights": str(FEATURES * 8 + 8 + 8 * CLASSES + CLASSES),
        "architecture": "small-network",
        "architecture__features": str(FEATURES),
    }


def test_an_exported_program_tells_the_count_of_its_weights(tmp_path: Path) -> None:
    rows = torch.zeros((2, FEATURES))
    program = torch.export.export(torch_module(), (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    torch.export.save(program, tmp_path / "net.pt2")
    read = read_network(tmp_path / "net.pt2", "torch-export", table(), Options())
    assert hyperparameters(read) == {"weights": str(FEATURES * 8 + 8 + 8 * CLASSES + CLASSES)}


def test_a_keras_model_tells_its_layers_with_those_inside_it_and_its_weights() -> None:
    inner = keras.Sequential([keras.layers.Dense(8), keras.layers.ReLU()])
    assert told(KerasNetwork(keras_model(inner, keras.layers.Dense(CLASSES)))) == {
        "layers": "2 × Dense, ReLU",
        "weights": str(FEATURES * 8 + 8 + 8 * CLASSES + CLASSES),
    }


def test_a_saved_model_tells_the_count_of_its_weights(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras_model(keras.layers.Dense(CLASSES)).export(tmp_path / "net", verbose=False)
    assert told(SavedModelNetwork(tmp_path / "net")) == {"weights": str(FEATURES * CLASSES + CLASSES)}


def test_a_network_of_very_many_kinds_of_layers_tells_the_first_of_them() -> None:
    kinds = ["ReLU", "Tanh", "Sigmoid", "GELU", "SiLU", "Mish", "ELU", "CELU", "SELU"]
    module = torch.nn.Sequential(*(getattr(torch.nn, kind)() for kind in kinds))
    assert told(TorchNetwork(module))["layers"] == f"{', '.join(kinds[:8])}, …"

"""Files of PyTorch become packages that answer 1000 rows that were not in the sample as their modules do."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import JsonValue

from secure_ml_api.errors import PackingError
from secure_ml_api.models.installed import installed
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.networks.files import read_network
from secure_ml_api.packaging.options import Options
from secure_ml_api.packaging.pack import pack
from support.lazily import Lazily
from support.networks import (
    ARCHITECTURE,
    BRANCHING,
    CLASSES,
    FEATURES,
    offer_architecture,
    table,
    torch_module,
    write_sample,
)
from support.packages import store_in

pytestmark = pytest.mark.slow

torch = Lazily("torch")
safetensors = Lazily("safetensors.torch")

ROWS = np.random.default_rng(11).normal(size=(1000, FEATURES)).astype(np.float32)
PARAMETERS: dict[str, JsonValue] = {"features": FEATURES, "classes": CLASSES}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


def assert_answered(store: Store, module: Any, architectures: tuple[str, ...] = ()) -> None:
    """The package ``net``, loaded as a server loads it, gives ``module``'s answers to ROWS."""
    package = store.verify("net", "1")
    runtimes = {runtime.name: runtime for runtime in installed(architectures=architectures)}
    given = (
        runtimes[package.manifest.runtime].load(package.artifact, 1).run({"input": ROWS}, ["label", "probabilities"])
    )
    with torch.inference_mode():
        wanted = torch.softmax(module(torch.from_numpy(ROWS)), dim=1).numpy()
    assert given["label"].tolist() == wanted.argmax(axis=1).tolist()
    np.testing.assert_allclose(given["probabilities"], wanted, rtol=1e-4, atol=1e-5)


def test_exported_torch_program_is_packed_once_it_is_trusted(store: Store, tmp_path: Path) -> None:
    rows = torch.zeros((2, FEATURES))
    program = torch.export.export(torch_module(), (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    torch.export.save(program, tmp_path / "net.pt2")
    sample = write_sample(tmp_path / "sample.csv")
    with pytest.raises(PackingError, match="--trust-pickle"):
        pack(tmp_path / "net.pt2", store=store, name="net", sample=sample)
    manifest = pack(tmp_path / "net.pt2", store=store, name="net", sample=sample, trust_pickle=True).manifest
    assert (manifest.runtime, manifest.provenance.source) == ("onnx", "torch-export")
    assert_answered(store, torch_module())


@pytest.mark.parametrize(
    ("dynamic", "complaint"),
    [({0: 1024}, "takes 1024 rows at a time at most"), (None, "takes 4 rows at a time and no other number")],
)
def test_program_for_a_bounded_number_of_rows_is_refused_with_how_to_export_it(
    tmp_path: Path, dynamic: dict[int, int] | None, complaint: str
) -> None:
    shapes = dynamic and ({axis: torch.export.Dim("rows", min=2, max=most) for axis, most in dynamic.items()},)
    program = torch.export.export(torch_module(), (torch.zeros((4, FEATURES)),), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(PackingError) as refused:
        read_network(tmp_path / "net.pt2", "torch-export", table(), Options())
    remedy = "export it for any number, with dynamic_shapes=({0: torch.export.Dim('rows')},)"
    assert str(refused.value) == f"net.pt2 {complaint}; {remedy}"


def test_weights_are_packed_in_the_architecture_that_is_named(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safetensors.save_file(torch_module().state_dict(), tmp_path / "net.safetensors")
    source, sample = tmp_path / "net.safetensors", write_sample(tmp_path / "sample.csv")
    named = Options(architecture=ARCHITECTURE, parameters={"features": FEATURES, "classes": CLASSES})
    with pytest.raises(PackingError, match="name with --architecture what they are the weights of"):
        read_network(source, "torch-weights", table(), Options())
    with pytest.raises(PackingError, match="no installed distribution has the architecture 'small-network'"):
        read_network(source, "torch-weights", table(), named)
    monkeypatch.setenv("PYTHONPATH", str(offer_architecture(tmp_path)))  # of the converting process
    manifest = pack(source, store=store, name="net", sample=sample, options=named).manifest
    assert manifest.provenance.source == "torch-weights"
    assert_answered(store, torch_module())


def test_architecture_that_branches_on_its_data_is_served_by_torch_itself_where_that_is_allowed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = offer_architecture(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(place))  # of the converting process
    monkeypatch.syspath_prepend(str(place))
    torch.manual_seed(7)
    module = import_module("small_network").Branching(FEATURES, CLASSES)
    source, sample = tmp_path / "net.safetensors", write_sample(tmp_path / "sample.csv")
    safetensors.save_file(module.state_dict(), source)
    named = Options(architecture=BRANCHING, parameters=PARAMETERS)
    allowed = Options(architecture=BRANCHING, parameters=PARAMETERS, allow_native=True)
    with pytest.raises(PackingError, match=r"makes a Python boolean of its data .*--allow-native$"):
        pack(source, store=store, name="net", sample=sample, options=named)
    manifest = pack(source, store=store, name="net", sample=sample, options=allowed).manifest
    assert (manifest.runtime, manifest.provenance.source) == ("torch", "torch-weights")
    assert 100 < (ROWS.sum(axis=1) > 0).sum() < 900
    assert_answered(store, module, (BRANCHING,))

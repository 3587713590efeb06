"""Model packages small enough to be made in every test: a graph that weighs two numbers, written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from secure_ml_api.models.manifest import FileRecord, Manifest, ParityReport, Provenance
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.sample import SAMPLE_FILE, Sample, write_sample
from secure_ml_api.models.store import Store
from secure_ml_api.models.verification import VerifiedPackage
from secure_ml_api.runtimes.onnx import MODEL_FILE
from secure_ml_api.tensors import Column, Signature

SIGNATURE = Signature(task="regression", columns=(Column(name="a"), Column(name="b")))
WEIGHTS = (1.0, 2.0)


def weighing_graph(
    weights: tuple[float, float] = WEIGHTS, *, external: str | None = None, name: str = "weigh", domain: str = ""
) -> bytes:
    """``value = input @ weights``; with ``external`` the weights are said to be in the file of that name."""
    tensor = helper.make_tensor("weights", TensorProto.FLOAT, [2], list(weights))
    if external is not None:
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=external)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "weights"], ["value"], domain=domain)],
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["rows"])],
        [tensor],
    )
    opsets = [helper.make_opsetid("", 18)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return data


def weighing_sample(weights: tuple[float, float] = WEIGHTS) -> bytes:
    """Four rows and the answers of a model with these weights."""
    rows = np.array([[0, 0], [1, 0], [0, 1], [2, 3]], dtype=np.float32)
    return write_sample(Sample({"input": rows}, {"value": rows @ np.array(weights, dtype=np.float32)}), SIGNATURE)


def manifest_of(files: Mapping[str, bytes], *, name: str = "tiny", version: str = "1", **changes: Any) -> Manifest:
    """The manifest of a package with ``files``."""
    parts = {
        "name": name,
        "version": version,
        "created": datetime(2024, 2, 29, tzinfo=UTC),
        "runtime": "onnx",
        "signature": SIGNATURE,
        "files": {file: FileRecord.of(data) for file, data in files.items()},
        "provenance": Provenance(source="estimator", estimator="Weighing", graph="by hand", libraries={}),
        "parity": ParityReport(
            sample_rows=4,
            generated_rows=0,
            near_ties=0,
            differing_near_ties=0,
            largest_differences={"value": 0.0},
            relative_tolerance=1e-4,
            absolute_tolerance=1e-5,
        ),
    }
    return Manifest.model_validate({**parts, **changes})


def store_in(home: Path) -> Store:
    return Store(home / "models", home / "keys")


def publish(
    store: Store,
    *,
    name: str = "tiny",
    version: str = "1",
    weights: tuple[float, float] = WEIGHTS,
    graph: bytes | None = None,
    **changes: Any,
) -> VerifiedPackage:
    """Sign and publish a package of the weighing graph, or of ``graph`` in its place."""
    files = {MODEL_FILE: graph or weighing_graph(weights), SAMPLE_FILE: weighing_sample(weights)}
    return store.publish(manifest_of(files, name=name, version=version, **changes), files)


def loaded(store: Store) -> Registry:
    """All packages of ``store``, as a server's master loads them."""
    registry = Registry(store)
    registry.load()
    return registry

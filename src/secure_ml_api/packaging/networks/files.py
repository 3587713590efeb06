"""Files of trained networks, read in the converting process alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PackageRefused, PackingError
from ...tensors import Task
from ..options import Options
from ..source_file import SourceFormat
from ..table import Array, Table
from .network import Network, NetworkEstimator


def read_network(path: Path, source_format: SourceFormat, sample: Table, options: Options) -> NetworkEstimator:
    """The network in the file ``path``, as it answers ``sample``; raises PackingError."""
    features = [name for name in sample.names if name != options.target]
    matrix = matrix_of(sample.select(features))
    network: Network
    try:
        network = _read(path, source_format, len(features), options)
    except PackingError:
        raise
    except ImportError as error:
        extra = "torch" if source_format.startswith("torch") else "tensorflow"
        raise PackingError(f"{error}; run `pip install 'secure-ml-api[train,{extra}]'`") from None
    except Exception as error:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise PackingError(f"{path.name} cannot be read: {cause}") from error
    return estimator_of(network, matrix, options)


def estimator_of(network: Network, matrix: Array, options: Options) -> NetworkEstimator:
    """``network`` as what the options, or else its outputs on ``matrix``, say that it does; raises PackingError."""
    try:
        return NetworkEstimator(network, matrix, task=options.task or _task_of(network, matrix))
    except PackingError:
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[:200]
        raise PackingError(f"{network.kind} does not take rows of {matrix.shape[1]} numbers: {cause}") from error


def matrix_of(sample: Table) -> Array:
    """The sample as float32 [rows, features]; raises PackingError where it has text or gaps."""
    texts = [name for name in sample.names if sample.is_text(name)]
    if texts:
        raise PackingError(f"a network takes numbers, and the column {texts[0]!r} is text; leave it out with --target")
    return np.column_stack([sample.columns[name] for name in sample.names]).astype(np.float32)


def _task_of(network: Network, matrix: Array) -> Task:
    given = network.outputs(matrix[:1])
    if given.size > 1:
        return "classification"
    raise PackingError(f"{network.kind} gives one number a row; say with --task whether that is a value or a class")


def _read(path: Path, source_format: SourceFormat, features: int, options: Options) -> Network:
    if source_format == "keras":
        return _keras(path)
    if source_format == "torch-weights":
        return _weights(path, options)
    if source_format == "saved-model":
        from .saved_model import SavedModelNetwork

        return SavedModelNetwork(path)
    return _exported(path, features)


def _weights(path: Path, options: Options) -> Network:
    """The weights in ``path`` in the architecture that the options name, whose code an installed distribution has."""
    from ...runtimes.torch import filled_architecture
    from .torch_module import TorchNetwork

    if options.architecture is None:
        raise PackingError(f"{path.name} holds weights alone; name with --architecture what they are the weights of")
    try:
        module = filled_architecture(options.architecture, options.parameters, path.read_bytes())
    except PackageRefused as refused:
        raise PackingError(str(refused)) from None
    return TorchNetwork(module, architecture=options.architecture, parameters=options.parameters)


def _keras(path: Path) -> Network:
    import keras

    from .keras_model import KerasNetwork

    # Safe mode refuses layers that are code; what else a file may say is said in this process and nowhere else.
    return KerasNetwork(keras.models.load_model(path, compile=False, safe_mode=True))


def _exported(path: Path, features: int) -> Network:
    import torch

    from .torch_module import TorchNetwork

    program: Any = torch.export.load(path)
    _require_any_number_of_rows(program, path)
    inner = [program.module()]  # in a list, so that nobody tries to set its mode, which is fixed
    for weights in inner[0].parameters():
        weights.requires_grad_(False)  # they become constants of the graph

    class ExportedProgram(torch.nn.Module):  # type: ignore[misc]  # torch is not read: see pyproject.toml
        def forward(self, rows: Any) -> Any:
            return inner[0](rows)

        def parameters(self, recurse: bool = True) -> Any:
            return inner[0].parameters(recurse)

    return TorchNetwork(ExportedProgram(), row_shape=_row_shape(program, features))


def _require_any_number_of_rows(program: Any, path: Path) -> None:
    """Raise PackingError for a program that was exported for one number of rows, or for up to one: it checks that."""
    given = set(program.graph_signature.user_inputs)
    first = next((node for node in program.graph.nodes if node.name in given), None)
    shape = getattr(first.meta.get("val"), "shape", ()) if first is not None else ()
    if not shape:
        return
    remedy = "export it for any number, with dynamic_shapes=({0: torch.export.Dim('rows')},)"
    if isinstance(shape[0], int):
        raise PackingError(f"{path.name} takes {shape[0]} rows at a time and no other number; {remedy}")
    most = getattr(program.range_constraints.get(shape[0].node.expr), "upper", None)
    if getattr(most, "is_Integer", False):  # and not infinity, which is a number of its own kind
        raise PackingError(f"{path.name} takes {most} rows at a time at most; {remedy}")


def _row_shape(program: Any, features: int) -> tuple[int, ...]:
    """What one row becomes before the exported module sees it: () where it takes rows of ``features`` numbers."""
    example = program.example_inputs[0][0] if program.example_inputs else None
    shape = tuple(int(size) for size in example.shape[1:]) if example is not None else (features,)
    return () if shape == (features,) else shape

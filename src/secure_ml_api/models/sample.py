"""The sample of a package: rows and the trained model's answers to them, kept so that parity can be shown again."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import PackageRefused
from ..tensors import NUMPY_DTYPES, Signature, Tensors, TensorSpec

SAMPLE_FILE = "sample.npz"

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Sample:
    """``inputs`` as the signature's input tensors; ``answers`` of the trained model as its output tensors."""

    inputs: Tensors
    answers: Tensors

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    def resized(self, rows: int) -> Sample:
        """The first ``rows`` rows, from the start again when there are not as many, in memory of their own."""
        index = np.arange(rows) % self.rows
        return Sample(
            {name: tensor[index] for name, tensor in self.inputs.items()},
            {name: tensor[index] for name, tensor in self.answers.items()},
        )


def write_sample(sample: Sample, signature: Signature) -> bytes:
    """``sample`` as the bytes of a ``.npz`` archive that holds no pickle."""
    arrays = {f"in{index}": _storable(sample.inputs[spec.name]) for index, spec in enumerate(signature.inputs)}
    arrays |= {f"out{index}": sample.answers[spec.name] for index, spec in enumerate(signature.outputs)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_sample(data: bytes, signature: Signature) -> Sample:
    """The sample in ``data``; raises PackageRefused when it does not fit ``signature``."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            inputs = {spec.name: _typed(arrays[f"in{index}"], spec) for index, spec in enumerate(signature.inputs)}
            answers = {spec.name: _typed(arrays[f"out{index}"], spec) for index, spec in enumerate(signature.outputs)}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise PackageRefused(f"{SAMPLE_FILE} cannot be read ({type(error).__name__}); pack the model again") from None
    lengths = {len(tensor) for tensor in [*inputs.values(), *answers.values()]}
    if len(lengths) != 1 or 0 in lengths:
        raise PackageRefused(f"{SAMPLE_FILE} has no rows or tensors of different lengths; pack the model again")
    return Sample(inputs, answers)


def _storable(tensor: Array) -> Array:
    """Text as fixed-width unicode, because an array of objects could only be stored as a pickle."""
    return tensor.astype(np.str_) if tensor.dtype == np.object_ else tensor


def _typed(tensor: Array, spec: TensorSpec) -> Array:
    wanted = NUMPY_DTYPES[spec.datatype]
    found = np.dtype(np.object_) if tensor.dtype.kind == "U" else tensor.dtype
    tail = spec.shape[1:]
    if found != wanted or tensor.shape[1:] != tail:
        raise ValueError(f"{spec.name} is {found} {tensor.shape}")
    return tensor.astype(wanted)

"""ONNX graphs on onnxruntime, one thread a run unless told otherwise."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import PackageRefused
from ..tensors import Datatype, Signature, Tensors, TensorSpec
from .onnx_external import mentions_external_data
from .protocol import Session, VerifiedArtifact

MODEL_FILE = "model.onnx"

_ELEMENT_TYPES: dict[Datatype, str] = {
    "BOOL": "tensor(bool)",
    "UINT8": "tensor(uint8)",
    "UINT16": "tensor(uint16)",
    "UINT32": "tensor(uint32)",
    "UINT64": "tensor(uint64)",
    "INT8": "tensor(int8)",
    "INT16": "tensor(int16)",
    "INT32": "tensor(int32)",
    "INT64": "tensor(int64)",
    "FP16": "tensor(float16)",
    "FP32": "tensor(float)",
    "FP64": "tensor(double)",
    "BYTES": "tensor(string)",
}


class OnnxRuntime:
    """Loads ONNX graphs; text tensors are object arrays of ``str``.

    A session of one thread holds no thread pool, so it may be built before a fork and its weights are then shared.
    """

    name = "onnx"
    fork_safe = True

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        """A session on the bytes of ``model.onnx``.

        Raises PackageRefused when they are no ONNX model, keep data outside of themselves, or take or give other
        tensors than the signature says. Libraries of custom operators cannot be loaded: nothing here registers any.
        """
        where = f"{artifact.name}/{artifact.version}"
        model = artifact.files.get(MODEL_FILE)
        if model is None:
            raise PackageRefused(f"{where}: the package has no {MODEL_FILE}")
        try:
            return open_graph(model, artifact.signature, threads=threads)
        except PackageRefused as refused:
            raise PackageRefused(f"{where}: {refused}") from None


def open_graph(model: bytes, signature: Signature, *, threads: int = 1) -> OnnxSession:
    """A session on the graph in ``model``, checked against ``signature``; raises PackageRefused as ``load`` does.

    For graphs that are not packages yet; a server loads verified artifacts only.
    """
    import onnxruntime

    if mentions_external_data(model):
        raise PackageRefused(f"{MODEL_FILE} keeps weights in other files; pack it with the weights inside")
    options = _options(onnxruntime, threads)
    try:
        with _sealed(model) as path:
            session = onnxruntime.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated classes, all from Exception
        raise PackageRefused(f"{MODEL_FILE} does not load: {_one_line(error)}") from None
    _check("input", session.get_inputs(), signature.inputs)
    _check("output", session.get_outputs(), signature.outputs)
    return OnnxSession(session, onnxruntime.RunOptions)


class OnnxSession:
    """A loaded graph; onnxruntime allows concurrent runs of one session."""

    def __init__(self, session: Any, handle: Callable[[], Any]) -> None:
        # What lies below asks the same questions of every run, and costs a microsecond more; _check answered them.
        self._run = getattr(session, "_sess", session).run
        self.handle = handle

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        """The tensors named in ``outputs``; only what they need is computed."""
        return dict(zip(outputs, self._run(outputs, inputs, None), strict=True))

    def run_with(self, handle: object, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        """As ``run``, until ``stop``: onnxruntime looks between one node of the graph and the next.

        So loops end soon, and a single node that does not come to its end cannot be stopped.
        """
        return dict(zip(outputs, self._run(outputs, inputs, handle), strict=True))

    @staticmethod
    def stop(handle: Any) -> None:
        handle.terminate = True


@contextmanager
def _sealed(model: bytes) -> Iterator[str]:
    """The path of an anonymous file in memory that holds exactly ``model`` and that nobody can change any more.

    onnxruntime keeps a second copy of a model that it is handed as bytes, for as long as the session lives.
    """
    descriptor = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(model)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Waiting threads sleep: spinning ones would take the CPU that the other workers need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Only protobuf: the other format that onnxruntime would detect by itself is not the one that was checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Its log goes to stderr as plain text, where every line of a server is JSON; errors are raised as well.
    options.log_severity_level = 4
    return options


def _check(kind: str, found: Sequence[Any], wanted: Sequence[TensorSpec]) -> None:
    """Names and element types must be equal, and the axes that both sides know."""
    if {tensor.name for tensor in found} != {spec.name for spec in wanted}:
        raise PackageRefused(f"the graph's {kind}s are not those of the signature; pack the model again")
    by_name = {tensor.name: tensor for tensor in found}
    for spec in wanted:
        tensor = by_name[spec.name]
        shape = tensor.shape
        agrees = len(shape) == len(spec.shape) and all(
            not isinstance(axis, int) or axis == size for axis, size in zip(shape[1:], spec.shape[1:], strict=True)
        )
        if tensor.type != _ELEMENT_TYPES[spec.datatype] or not agrees:
            found_as = f"{tensor.type} {shape}"
            raise PackageRefused(f"{kind} {spec.name!r} is {found_as}, not {spec.datatype} {list(spec.shape)}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]

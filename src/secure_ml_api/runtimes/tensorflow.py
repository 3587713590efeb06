"""TensorFlow networks as they are: a SavedModel of operators that only compute, from one verified archive."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast, get_args

from ..errors import PackageRefused
from ..tensors import Signature, Tensors
from .libraries import for_good
from .protocol import Session, VerifiedArtifact
from .scores import Gives, answers_of
from .tensorflow_ops import operators_of, unknown_operators

ARCHIVE_FILE = "saved_model.tar"
GIVES_MEMBER = "gives.txt"
_GRAPH_MEMBER = "saved_model.pb"
_MOST_MEMBERS = 64
_SERVED = "serve"


class TensorFlowRuntime:
    """Loads SavedModels whose operators are all on a fixed list, so that none of them reads, writes or calls anything.

    TensorFlow's threads do not survive a fork, so sessions are built in each worker; they run on the CPU.
    """

    name = "tensorflow"
    fork_safe = False
    framework = "tensorflow"

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        """A session on the SavedModel in ``saved_model.tar``.

        Raises PackageRefused when TensorFlow is not installed, when the archive holds anything but plain files of a
        SavedModel, and when an operator is not on the list.
        """
        where = f"{artifact.name}/{artifact.version}"
        data = artifact.files.get(ARCHIVE_FILE)
        if data is None:
            raise PackageRefused(f"{where}: the package has no {ARCHIVE_FILE}")
        try:
            return open_saved_model(data, artifact.signature, threads=threads)
        except PackageRefused as refused:
            raise PackageRefused(f"{where}: {refused}") from None


def open_saved_model(data: bytes, signature: Signature, *, threads: int = 1) -> TensorFlowSession:
    """A session on the archive in ``data``; raises PackageRefused as ``load`` does."""
    files = _members(data)
    gives = files.pop(GIVES_MEMBER, b"").decode("ascii", "replace")
    if gives not in get_args(Gives) or _GRAPH_MEMBER not in files:
        raise PackageRefused(f"{ARCHIVE_FILE} is no SavedModel that was packed here; pack the model again")
    # Its C++ parts write plain text to stderr, where every line of a server is JSON; errors are raised as well.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Kernels that sum in another order on each kind of processor, about which it writes a line on every start.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        with for_good():
            import tensorflow
    except ImportError:
        remedy = "run `pip install 'secure-ml-api[tensorflow]'` where it serves"
        raise PackageRefused(f"TensorFlow itself runs this model and is not installed; {remedy}") from None
    _bound_threads(tensorflow, threads)
    try:
        unknown = unknown_operators(operators_of(files[_GRAPH_MEMBER]))
        if unknown:
            raise PackageRefused(f"{ARCHIVE_FILE} holds operators that are not trusted: {', '.join(unknown[:5])}")
        # TensorFlow loads from paths alone: the verified bytes, in a directory of this process that is gone afterwards.
        with tempfile.TemporaryDirectory(prefix="secure-ml-api-") as place:
            _written(files, Path(place))
            loaded = tensorflow.saved_model.load(place)
        return TensorFlowSession(loaded, cast("Gives", gives), signature)
    except PackageRefused:
        raise
    except Exception as error:  # noqa: BLE001 - a spoiled file fails in any way that a reader can
        raise PackageRefused(f"{ARCHIVE_FILE} does not load ({type(error).__name__}); pack the model again") from None


class TensorFlowSession:
    """A loaded SavedModel; TensorFlow allows concurrent calls of one function."""

    def __init__(self, loaded: Any, gives: Gives, signature: Signature) -> None:
        self._loaded = loaded  # which keeps the variables alive
        self._serve = loaded.signatures[_SERVED]
        self._gives = gives
        self._signature = signature

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        """The tensors named in ``outputs``."""
        import tensorflow

        (given,) = self._serve(tensorflow.constant(inputs["input"], dtype=tensorflow.float32)).values()
        answers = answers_of(given.numpy(), self._gives, self._signature)
        return {name: answers[name] for name in outputs}


def _members(data: bytes) -> dict[str, bytes]:
    """The plain files of the archive by their relative paths; raises PackageRefused for anything else."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts
                is_within = bool(parts) and parts[0] != "/" and ".." not in parts
                if not member.isreg() or not is_within or member.name in files or len(files) >= _MOST_MEMBERS:
                    raise PackageRefused(f"{ARCHIVE_FILE} holds what is no plain file of a SavedModel")
                opened = archive.extractfile(member)
                files[member.name] = opened.read() if opened is not None else b""
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise PackageRefused(f"{ARCHIVE_FILE} is no archive ({type(error).__name__}); pack the model again") from None
    return files


def _written(files: dict[str, bytes], place: Path) -> None:
    for name, data in files.items():
        path = place / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(data)


def _bound_threads(tensorflow: Any, threads: int) -> None:
    """At most ``threads`` for every run; it can be said only before TensorFlow begins, and is the same for all."""
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        return  # the first model has said it

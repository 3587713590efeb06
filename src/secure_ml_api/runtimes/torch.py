"""PyTorch networks as they are: weights from a safetensors file, in an architecture that this server was told to know.

Nothing in a package is code. The package names its architecture, the settings say which names may be built, and an
installed distribution has the code (entry points of the group ``secure_ml_api.architectures``).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from typing import Any, get_args

from ..errors import PackageRefused
from ..tensors import Signature, Tensors
from .libraries import for_good
from .protocol import Session, VerifiedArtifact
from .scores import Gives, answers_of

WEIGHTS_FILE = "model.safetensors"
GROUP = "secure_ml_api.architectures"
_DESIGN = "secure_ml_api"
_HEADER_LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Design:
    """How the network is built: ``architecture`` is called with ``parameters``; a row is given in ``row_shape``."""

    architecture: str
    parameters: Mapping[str, Any]
    row_shape: tuple[int, ...]
    gives: Gives

    def as_metadata(self) -> dict[str, str]:
        """For the header of a safetensors file."""
        return {_DESIGN: json.dumps(asdict(self), sort_keys=True)}

    @classmethod
    def of(cls, data: bytes) -> Design:
        """The design in the header of a safetensors file; raises PackageRefused."""
        try:
            (length,) = struct.unpack("<Q", data[:8])
            if length > _HEADER_LIMIT_BYTES:
                raise ValueError
            told = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_DESIGN])
            design = cls(told["architecture"], told["parameters"], tuple(told["row_shape"]), told["gives"])
        except (struct.error, ValueError, KeyError, TypeError):
            raise PackageRefused(f"{WEIGHTS_FILE} does not say how its network is built; pack it again") from None
        if design.gives not in get_args(Gives) or not isinstance(design.parameters, dict):
            raise PackageRefused(f"{WEIGHTS_FILE} does not say how its network is built; pack it again")
        return design


class TorchRuntime:
    """Loads weights into one of ``architectures``, the names that the operator allows.

    PyTorch's threads do not survive a fork, so sessions are built in each worker; on a GPU where there is one.
    """

    name = "torch"
    fork_safe = False
    framework = "torch"

    def __init__(self, architectures: Sequence[str] = ()) -> None:
        self._architectures = frozenset(architectures)

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        """A session on the weights in ``model.safetensors``.

        Raises PackageRefused when PyTorch is not installed, when the architecture is not allowed or not installed, and
        when the weights are not exactly its own.
        """
        where = f"{artifact.name}/{artifact.version}"
        data = artifact.files.get(WEIGHTS_FILE)
        if data is None:
            raise PackageRefused(f"{where}: the package has no {WEIGHTS_FILE}")
        try:
            session = open_network(data, artifact.signature, self._architectures, threads=threads)
        except PackageRefused as refused:
            raise PackageRefused(f"{where}: {refused}") from None
        _bound_threads_between_operators(threads)
        return session


def open_network(data: bytes, signature: Signature, architectures: frozenset[str], *, threads: int = 1) -> TorchSession:
    """A session on the safetensors file in ``data``; raises PackageRefused as ``load`` does.

    From then on every operator of this process has at most ``threads``.
    """
    design = Design.of(data)
    if design.architecture not in architectures:
        remedy = "name it in inference.architectures if it may be built"
        raise PackageRefused(f"the architecture {design.architecture!r} is not allowed here; {remedy}")
    try:
        with for_good():
            import torch
    except ImportError:
        remedy = "run `pip install 'secure-ml-api[torch]'` where it serves"
        raise PackageRefused(f"PyTorch itself runs this model and is not installed; {remedy}") from None
    torch.set_num_threads(threads)
    module = filled_architecture(design.architecture, design.parameters, data)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TorchSession(module.eval().to(device), design, signature, device)


def _bound_threads_between_operators(threads: int) -> None:
    """At most ``threads`` for operators side by side, which an architecture may ask for."""
    import torch

    # It can be said once, and is the same for all that is loaded afterwards.
    with suppress(RuntimeError):
        torch.set_num_interop_threads(threads)


def filled_architecture(name: str, parameters: Mapping[str, Any], weights: bytes) -> Any:
    """A new module of the architecture ``name`` with the ``weights`` of a safetensors file.

    Raises PackageRefused when no installed distribution has it, or when the weights are not exactly its own.
    """
    from safetensors.torch import load

    build = _architecture(name)
    try:
        module = build(**parameters)
        module.load_state_dict(load(weights), strict=True)
    except Exception as error:  # noqa: BLE001 - weights of another network fail in any way that PyTorch can
        cause = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
        raise PackageRefused(f"the weights are not those of {name!r} ({cause})") from None
    return module


class TorchSession:
    """A network in evaluation mode; running it changes nothing of it, so threads may share it."""

    def __init__(self, module: Any, design: Design, signature: Signature, device: str) -> None:
        self._module = module
        self._design = design
        self._signature = signature
        self._device = device

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        """The tensors named in ``outputs``."""
        import torch

        # A body's own memory is read-only, which PyTorch cannot express.
        rows = torch.tensor(inputs["input"], dtype=torch.float32, device=self._device)
        if self._design.row_shape:
            rows = rows.reshape(len(rows), *self._design.row_shape)
        with torch.inference_mode():
            given = self._module(rows).cpu().numpy()
        answers = answers_of(given, self._design.gives, self._signature)
        return {name: answers[name] for name in outputs}


def _architecture(name: str) -> Any:
    found = [point for point in entry_points(group=GROUP) if point.name == name]
    if not found:
        raise PackageRefused(f"no installed distribution has the architecture {name!r} (entry points of {GROUP})")
    if len(found) > 1:
        offered = ", ".join(sorted(point.dist.name if point.dist is not None else point.value for point in found))
        raise PackageRefused(f"the architecture {name!r} is offered by {offered}; uninstall all but one")
    try:
        return found[0].load()
    except Exception as error:  # noqa: BLE001 - the code is somebody else's
        raise PackageRefused(f"the architecture {name!r} cannot be imported ({type(error).__name__})") from None

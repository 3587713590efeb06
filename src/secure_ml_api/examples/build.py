"""Trains and packs the example models that a home does not have yet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path

from ..errors import OperatorError, PackingError
from ..models.store import Store
from ..packaging.extras import quiet, require_train_extra
from ..packaging.pack import PackResult, pack_estimator
from ..settings import Settings
from .catalogue import EXAMPLES
from .networks import NETWORK_EXAMPLES

_DEADLINE_SECONDS = 300


def build_examples(settings: Settings, names: Collection[str] = ()) -> list[str]:
    """Train and pack the examples that the home has no version of, of those in ``names``; which were packed.

    The work is done in child processes: the training libraries start threads that would not survive the fork of a
    server that starts in this process afterwards, keep memory that a server has no use for, and do not all go
    together. Raises PackingError with the child's reason.
    """
    _require(names)
    store = Store.of(settings)
    missing = missing_examples(store, names)
    for together in _apart(missing):
        _build_apart(store, together)
    return missing


def _apart(names: Sequence[str]) -> list[list[str]]:
    """``names`` by what trains them: each network alone, all others together."""
    others = [name for name in names if name in EXAMPLES]
    return [each for each in (others, *([name] for name in names if name in NETWORK_EXAMPLES)) if each]


def _build_apart(store: Store, names: Sequence[str]) -> None:
    arguments = [str(store.models_directory.absolute()), str(store.keys_directory.absolute()), *names]
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", f"{__package__}.build", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise PackingError(f"the example models took more than {_DEADLINE_SECONDS} seconds; try again") from None
    if child.returncode != 0:
        reason = (child.stderr.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
        raise PackingError(f"the example models were not packed: {reason}")


def build_examples_here(store: Store, names: Collection[str] = ()) -> list[PackResult]:
    """As ``build_examples``, in this process."""
    require_train_extra()
    results = []
    for name in missing_examples(store, names):
        with quiet():
            example = EXAMPLES[name]() if name in EXAMPLES else NETWORK_EXAMPLES[name].train()
        packed = pack_estimator(example.estimator, example.sample, store=store, name=name, options=example.options)
        results.append(packed)
    return results


def missing_examples(store: Store, names: Collection[str] = ()) -> list[str]:
    """The examples of which the home has no version, of those in ``names``, or of all that can be trained here."""
    return [name for name in names or trainable_examples() if not store.versions(name)]


def _require(names: Collection[str]) -> None:
    """Raise PackingError for an example that there is not, or that cannot be trained here."""
    for name in names:
        if name in NETWORK_EXAMPLES and name not in trainable_examples():
            module = NETWORK_EXAMPLES[name].module
            raise PackingError(f"the example {name} needs {module}; run `pip install 'secure-ml-api[{module}]'`")
        if name not in NETWORK_EXAMPLES and name not in EXAMPLES:
            known = ", ".join([*EXAMPLES, *NETWORK_EXAMPLES])
            raise PackingError(f"there is no example {name!r}; there are {known}")


def trainable_examples() -> list[str]:
    """The names of the examples whose libraries are installed."""
    return [*EXAMPLES, *(name for name, example in NETWORK_EXAMPLES.items() if find_spec(example.module))]


def _main(models_directory: str, keys_directory: str, *names: str) -> None:
    try:
        build_examples_here(Store(Path(models_directory), Path(keys_directory)), names)
    except OperatorError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main(*sys.argv[1:])

"""Trains and packs the example models that a home does not have yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..errors import OperatorError, PackingError
from ..models.store import Store
from ..packaging.extras import quiet, require_train_extra
from ..packaging.pack import PackResult, pack_estimator
from ..settings import Settings
from .catalogue import EXAMPLES

_DEADLINE_SECONDS = 300


def build_examples(settings: Settings) -> list[str]:
    """Train and pack the examples that the home has no version of; the names of those that were packed.

    The work is done in a child process: the training libraries start threads that would not survive the fork of a
    server that starts in this process afterwards, and keep memory that a server has no use for.
    Raises PackingError with the child's reason.
    """
    store = Store.of(settings)
    missing = missing_examples(store)
    if not missing:
        return []
    arguments = [str(store.models_directory.absolute()), str(store.keys_directory.absolute())]
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
    return missing


def build_examples_here(store: Store) -> list[PackResult]:
    """As ``build_examples``, in this process."""
    require_train_extra()
    results = []
    for name in missing_examples(store):
        with quiet():
            example = EXAMPLES[name]()
        packed = pack_estimator(example.estimator, example.sample, store=store, name=name, options=example.options)
        results.append(packed)
    return results


def missing_examples(store: Store) -> list[str]:
    """Names of the examples of which the home has no version."""
    return [name for name in EXAMPLES if not store.versions(name)]


def _main(models_directory: str, keys_directory: str) -> None:
    try:
        build_examples_here(Store(Path(models_directory), Path(keys_directory)))
    except OperatorError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main(*sys.argv[1:])

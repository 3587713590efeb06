"""scikit-learn models as they are, from skops files, for those that no graph answers like.

The one runtime that needs the training libraries while serving: a package names it only when the person who packed the
model agreed to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import PackageRefused
from ..tensors import NUMPY_DTYPES, Signature, Tensors
from .protocol import Session, VerifiedArtifact
from .sklearn_types import TRUSTED_TYPES
from .skops_files import skops_io

ESTIMATOR_FILE = "model.skops"

Array = np.ndarray[Any, np.dtype[Any]]


class SklearnRuntime:
    """Loads skops files whose types are all on a fixed list; nothing of them is unpickled.

    scikit-learn's threads do not survive a fork, so sessions are built in each worker.
    """

    name = "sklearn"
    fork_safe = False
    framework = "skops.io"

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        """A session on the model in ``model.skops``.

        Raises PackageRefused when scikit-learn is not installed, and when the file is no skops file or holds a type
        that is not on the list.
        """
        where = f"{artifact.name}/{artifact.version}"
        data = artifact.files.get(ESTIMATOR_FILE)
        if data is None:
            raise PackageRefused(f"{where}: the package has no {ESTIMATOR_FILE}")
        try:
            return open_estimator(data, artifact.signature, threads=threads)
        except PackageRefused as refused:
            raise PackageRefused(f"{where}: {refused}") from None


def open_estimator(data: bytes, signature: Signature, *, threads: int = 1) -> SklearnSession:
    """A session on the skops file in ``data``; raises PackageRefused as ``load`` does."""
    try:
        skops = skops_io()
    except ImportError:
        remedy = "run `pip install 'secure-ml-api[train]'` where it serves"
        raise PackageRefused(f"scikit-learn itself runs this model and is not installed; {remedy}") from None
    try:
        unknown = sorted(set(skops.get_untrusted_types(data=data)) - set(TRUSTED_TYPES))
        if unknown:
            raise PackageRefused(f"{ESTIMATOR_FILE} holds types that are not trusted: {', '.join(unknown[:5])}")
        estimator = skops.loads(data, trusted=list(TRUSTED_TYPES))
    except PackageRefused:
        raise
    except Exception as error:  # noqa: BLE001 - a file that is spoiled fails in any way that a reader can
        raise PackageRefused(f"{ESTIMATOR_FILE} does not load ({type(error).__name__}); pack the model again") from None
    _bound_threads(estimator, threads)
    return SklearnSession(estimator, signature)


class SklearnSession:
    """A fitted estimator that answers in the tensors of its signature.

    Prediction changes no state of scikit-learn's own estimators, so threads may share one.
    """

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self._estimator = estimator
        self._signature = signature
        self._dtypes = {spec.name: NUMPY_DTYPES[spec.datatype] for spec in signature.outputs}
        # The class values that a signature answers stand in the order of the estimator's own.
        answered = [value if isinstance(value, int) else position for position, value in enumerate(signature.classes)]
        known = np.asarray(getattr(estimator, "classes_", ())).tolist()
        self._answered = dict(zip(known, answered, strict=False)) if signature.classes else {}
        self._by_name = hasattr(estimator, "feature_names_in_")
        self._reads_text = reads_text(estimator)

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        """The tensors named in ``outputs``; only the methods that they need are called."""
        given = self._given(inputs)
        if len(given) == 0:
            return {spec.name: self._empty(spec.shape, spec.name) for spec in self._chosen(outputs)}
        return {spec.name: self._answer(spec.name, given) for spec in self._chosen(outputs)}

    def _answer(self, output: str, given: Any) -> Array:
        if output == "probabilities":
            found = self._estimator.predict_proba(given)
        elif output == "score":
            found = np.reshape(self._estimator.decision_function(given), -1)
        else:
            found = np.reshape(self._estimator.predict(given), -1)
        if output == "label" and self._answered:
            found = [self._answered[value] for value in found.tolist()]
        return np.asarray(found, dtype=self._dtypes[output])

    def _chosen(self, outputs: Sequence[str]) -> list[Any]:
        by_name: Mapping[str, Any] = {spec.name: spec for spec in self._signature.outputs}
        return [by_name[name] for name in outputs]

    def _empty(self, shape: tuple[int, ...], name: str) -> Array:
        """scikit-learn refuses to predict nothing."""
        return np.empty((0, *shape[1:]), dtype=self._dtypes[name])

    def _given(self, inputs: Tensors) -> Any:
        """The input in the form that the estimator was trained on."""
        signature = self._signature
        if signature.is_matrix:
            matrix = inputs["input"]
            columns = [matrix[:, position] for position in range(len(signature.columns))]
        else:
            matrix = None
            columns = [np.reshape(inputs[name], -1) for name in signature.column_names]
        if self._reads_text:
            return columns[0]
        if self._by_name:
            import pandas

            return pandas.DataFrame(dict(zip(signature.column_names, columns, strict=True)))
        return matrix if matrix is not None else np.column_stack([column.astype(np.object_) for column in columns])


def reads_text(estimator: Any) -> bool:
    """Whether ``estimator`` takes texts [rows], as what counts words does, where others take a table."""
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[0][1]
    return hasattr(estimator, "analyzer") and hasattr(estimator, "ngram_range")


def _bound_threads(estimator: Any, threads: int) -> None:
    """At most ``threads`` threads for every part of ``estimator`` and, in this process, for the libraries below it."""
    import threadpoolctl

    for part in _parts(estimator, set()):
        if hasattr(part, "n_jobs"):
            part.n_jobs = threads
    threadpoolctl.threadpool_limits(limits=threads)


def _parts(held: Any, seen: set[int]) -> Iterator[Any]:
    """Every estimator in ``held``: itself, its attributes, and what lists and tuples of them hold."""
    if id(held) in seen:
        return
    seen.add(id(held))
    if isinstance(held, list | tuple):
        inner = list(held)
    elif isinstance(held, np.ndarray):
        inner = list(held.flat) if held.dtype == np.object_ else []
    elif hasattr(held, "get_params"):
        yield held
        inner = list(vars(held).values())
    else:
        return
    for part in inner:
        yield from _parts(part, seen)

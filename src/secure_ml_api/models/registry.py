"""Which models are loaded, and which version of each answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType
from typing import Literal

from ..errors import ModelNotFound, NotReady, OperatorError, PackageRefused
from ..runtimes.protocol import Runtime
from .aliases import choose_version
from .model import RUNTIMES, Model, load_model
from .names import version_order
from .store import Store
from .verification import VerifiedPackage


@dataclass(frozen=True, slots=True)
class ModelState:
    """One version of a model, for the repository index; ``reason`` is empty when it is ready."""

    name: str
    version: str
    state: Literal["READY", "LOADING", "UNAVAILABLE"]
    reason: str


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Everything that is known at one moment; never changed, only replaced, so that readers need no lock."""

    models: Mapping[str, Mapping[str, Model]]
    serving: Mapping[str, str]
    aliases: Mapping[str, Mapping[str, str]]
    waiting: Mapping[tuple[str, str], VerifiedPackage]
    problems: Mapping[str, str]
    known: Mapping[str, frozenset[str]]
    answering: Mapping[tuple[str, str | None], Model]
    """By name and version or alias, and without one the model that serves."""


class Registry:
    """All models of a home, verified and loaded; safe to read from several threads.

    ``load`` is called before the workers are forked and builds the sessions that survive it; ``start_worker`` is
    called in each worker and builds the others; ``warm_up`` runs and times every session.
    """

    def __init__(self, store: Store, *, threads: int = 1, runtimes: Sequence[Runtime] = ()) -> None:
        self._store = store
        self._threads = threads
        self._runtimes = {runtime.name: runtime for runtime in runtimes or RUNTIMES}
        self._shelf = _Draft().shelf()
        self._lock = Lock()

    def load(self) -> None:
        """Verify every package of the home and load those whose sessions may be built before a fork.

        A package that fails is named in ``problems`` and never stops the others. Called again it takes the home as it
        is then, keeps the sessions of packages that are unchanged, and swaps everything in at once.
        Raises KeyFileError when there are packages and no key to verify them with.
        """
        with self._lock:
            draft = _Draft()
            for name in self._store.names():
                for version in self._store.versions(name):
                    self._admit(draft, name, version)
                draft.aliases[name] = self._aliases(draft, name)
            self._shelf = draft.shelf()

    def start_worker(self) -> None:
        """Load what had to wait for the fork; a package that fails is named in ``problems``."""
        with self._lock:
            draft = _Draft(self._shelf)
            for package in self._shelf.waiting.values():
                self._build(draft, package)
            draft.waiting.clear()
            self._shelf = draft.shelf()

    def warm_up(self) -> None:
        """Run each loaded session on rows of its sample and take its pace; one that raises is taken off and named in
        ``problems``."""
        with self._lock:
            draft = _Draft(self._shelf)
            for model in self.models():
                try:
                    draft.models[model.name][model.version] = model.warm_up()
                except Exception as error:  # noqa: BLE001 - a framework may raise anything, and none may stop the rest
                    where = f"{model.name}/{model.version}"
                    draft.problems[where] = f"{where}: the model fails on its own sample ({type(error).__name__})"
                    del draft.models[model.name][model.version]
            self._shelf = draft.shelf()

    def resolve(self, name: str, version: str | None = None) -> Model:
        """The model that answers for ``name``: of the given version or alias, otherwise the one that serves.

        Raises ModelNotFound when there is no such model or version, NotReady when there is and it cannot answer.
        """
        shelf = self._shelf
        answering = shelf.answering.get((name, version))
        if answering is not None:
            return answering
        versions = shelf.known.get(name)
        if versions is None:
            raise ModelNotFound("there is no such model")
        if version is not None and version not in versions and shelf.aliases[name].get(version) not in versions:
            raise ModelNotFound("there is no such version of this model")
        raise NotReady("the model is not ready; its operators find the reason in the log")

    def models(self) -> tuple[Model, ...]:
        """Every loaded model, by name, its versions oldest first."""
        return tuple(
            versions[version]
            for _, versions in sorted(self._shelf.models.items())
            for version in sorted(versions, key=version_order)
        )

    def serving(self) -> tuple[Model, ...]:
        """The model that answers for each name when no version is asked for, by name."""
        shelf = self._shelf
        return tuple(shelf.models[name][version] for name, version in sorted(shelf.serving.items()))

    def states(self) -> tuple[ModelState, ...]:
        """The state of every version that is in the home, by name and version."""
        shelf = self._shelf
        return tuple(
            _state(shelf, name, version)
            for name in sorted(shelf.known)
            for version in sorted(shelf.known[name], key=version_order)
        )

    @property
    def problems(self) -> Mapping[str, str]:
        """``name/version`` (or ``name/aliases.json``) → one line that says what is wrong with it."""
        return self._shelf.problems

    @property
    def unready(self) -> tuple[str, ...]:
        """Names of models of which no version answers; while there are any, the server is not ready."""
        shelf = self._shelf
        return tuple(sorted(name for name in shelf.known if name not in shelf.serving))

    def _admit(self, draft: _Draft, name: str, version: str) -> None:
        draft.known.setdefault(name, set()).add(version)
        draft.models.setdefault(name, {})
        try:
            package = self._store.verify(name, version)
        except PackageRefused as refused:
            draft.problems[f"{name}/{version}"] = str(refused)
            return
        kept = self._shelf.models.get(name, {}).get(version)
        if kept is not None and kept.digest == package.artifact.digest:
            draft.models[name][version] = kept
            return
        runtime = self._runtimes.get(package.manifest.runtime)
        # A pool of threads does not survive a fork, whichever framework owns it.
        if runtime is not None and not (runtime.fork_safe and self._threads == 1):
            draft.waiting[name, version] = package
            return
        self._build(draft, package)

    def _build(self, draft: _Draft, package: VerifiedPackage) -> None:
        name, version = package.artifact.name, package.artifact.version
        try:
            draft.models[name][version] = load_model(package, self._runtimes, self._threads)
        except OperatorError as refused:
            draft.problems[f"{name}/{version}"] = str(refused)

    def _aliases(self, draft: _Draft, name: str) -> dict[str, str]:
        try:
            return self._store.aliases(name)
        except PackageRefused as refused:
            draft.problems[f"{name}/aliases.json"] = str(refused)
            return {}


class _Draft:
    """A shelf while it is being put together, from nothing or from the one that is in use."""

    def __init__(self, shelf: _Shelf | None = None) -> None:
        self.models: dict[str, dict[str, Model]] = {}
        self.aliases: dict[str, dict[str, str]] = {}
        self.waiting: dict[tuple[str, str], VerifiedPackage] = {}
        self.problems: dict[str, str] = {}
        self.known: dict[str, set[str]] = {}
        if shelf is not None:
            self.models = {name: dict(versions) for name, versions in shelf.models.items()}
            self.aliases = {name: dict(aliases) for name, aliases in shelf.aliases.items()}
            self.waiting = dict(shelf.waiting)
            self.problems = dict(shelf.problems)
            self.known = {name: set(versions) for name, versions in shelf.known.items()}

    def shelf(self) -> _Shelf:
        serving = {name: choose_version(versions, self.aliases.get(name, {})) for name, versions in self.models.items()}
        return _Shelf(
            models=MappingProxyType({name: MappingProxyType(versions) for name, versions in self.models.items()}),
            serving=MappingProxyType({name: version for name, version in serving.items() if version is not None}),
            aliases=MappingProxyType(self.aliases),
            waiting=MappingProxyType(self.waiting),
            problems=MappingProxyType(self.problems),
            known=MappingProxyType({name: frozenset(versions) for name, versions in self.known.items()}),
            answering=MappingProxyType(self._answering(serving)),
        )

    def _answering(self, serving: Mapping[str, str | None]) -> dict[tuple[str, str | None], Model]:
        answering: dict[tuple[str, str | None], Model] = {}
        for name, versions in self.models.items():
            # A version is found under its own name even where an alias is called the same.
            called = self.aliases.get(name, {}) | {version: version for version in versions}
            answering |= {(name, asked): versions[found] for asked, found in called.items() if found in versions}
            if (version := serving[name]) is not None:
                answering[name, None] = versions[version]
        return answering


def _state(shelf: _Shelf, name: str, version: str) -> ModelState:
    if version in shelf.models[name]:
        return ModelState(name, version, "READY", "")
    if (name, version) in shelf.waiting:
        return ModelState(name, version, "LOADING", "")
    return ModelState(name, version, "UNAVAILABLE", shelf.problems.get(f"{name}/{version}", ""))

"""Which models are loaded, and which version of each answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from threading import Lock

from ..errors import ModelNotFound, NotReady, OperatorError, PackageRefused
from ..runtimes.libraries import RelievedFirst, framework_of
from ..runtimes.protocol import Runtime
from .life import is_in_canary
from .memory import into_large_pages
from .model import RUNTIMES, Model, load_model
from .names import version_order
from .shelf import CanaryModel, Draft, ModelState
from .store import Store
from .verification import VerifiedPackage
from .withheld import Withheld


class Registry:
    """All models of a home, verified and loaded; safe to read from several threads.

    ``load`` is called before the workers are forked and builds the sessions that survive it; ``start_worker`` is
    called in each worker and builds the others; ``warm_up`` runs and times every session; ``refresh`` takes what has
    changed in the home while the worker serves.
    """

    def __init__(
        self,
        store: Store,
        *,
        threads: int = 1,
        runtimes: Sequence[Runtime] = (),
        withheld: Withheld | None = None,
    ) -> None:
        self._store = store
        self._withheld = withheld
        self._threads = threads
        self._runtimes = {runtime.name: runtime for runtime in runtimes or RUNTIMES}
        self._shelf = Draft().shelf()
        self._stamps: dict[tuple[str, str], tuple[str, object]] = {}
        self._refused: dict[tuple[str, str], tuple[str, object]] = {}
        self._lock = Lock()

    def load(self) -> None:
        """Verify every package of the home and load those whose sessions may be built before a fork.

        A package that fails is named in ``problems`` and never stops the others. Called again it takes the home as it
        is then, keeps the sessions of packages that are unchanged, and swaps everything in at once.
        Raises KeyFileError when there are packages and no key to verify them with.
        """
        with self._lock:
            draft = Draft()
            for name in self._store.names():
                self._admit_all(draft, name, again=True, waits=True)
            self._shelf = draft.shelf()

    def start_worker(self) -> None:
        """Load what had to wait for the fork; a package that fails is named in ``problems``."""
        with self._lock:
            draft = Draft.of(self._shelf)
            for package in self._shelf.waiting.values():
                self._build(draft, package)
            draft.waiting.clear()
            self._shelf = draft.shelf()

    def warm_up(self) -> None:
        """Run each loaded session on rows of its sample and take its pace; one that raises is taken off and named in
        ``problems``."""
        with self._lock:
            draft = Draft.of(self._shelf)
            for model in self.models():
                self._warm(draft, model)
            self._shelf = draft.shelf()

    def refresh(self, names: Collection[str] | None = None, *, serves: bool = False) -> None:
        """Take the models in ``names`` as they are in the home now, in a worker that serves.

        What is loaded already is verified again when its files were touched since. Without names all that the home
        holds, where what is loaded already is not looked at. All changes at once, when everything new is loaded and
        warm. A version that fails is named in ``problems`` and changes nothing for the others. Raises KeyFileError as
        ``load`` does, and RelievedFirst, when nothing has changed, where it ``serves`` and a framework is to load what
        was not refused here before.
        """
        with self._lock:
            there = self._store.names()
            draft = Draft() if names is None else Draft.of(self._shelf)
            with into_large_pages():
                for name in there if names is None else names:
                    draft.forget(name)
                    if name in there:
                        self._admit_all(draft, name, again=names is not None, waits=False, serves=serves)
            known = {id(model) for model in self.models()}
            for versions in list(draft.models.values()):
                for model in [model for model in versions.values() if id(model) not in known]:
                    self._warm(draft, model)
            self._shelf = draft.shelf()

    def lacks(self, names: Collection[str] | None = None) -> bool:
        """Whether ``refresh`` has versions to load that are not loaded yet; raises OperatorError as the store does."""
        loaded = self._shelf.models
        return any(
            not loaded.get(name, {}).keys() >= set(self._store.versions(name)) and not self._store.life(name).unloaded
            for name in (self._store.names() if names is None else names)
        )

    def resolve(self, name: str, version: str | None = None, caller: str | None = None) -> Model:
        """The model that answers for ``name``: of the given version or alias, otherwise the one that serves.

        A ``caller`` who asks for no version may belong to the part that a canary answers. Raises ModelNotFound when
        there is no such model or version, NotReady when there is and it cannot answer.
        """
        shelf = self._shelf
        answering = shelf.answering.get((name, version))
        if answering is not None:
            if shelf.canaries and caller is not None and version is None:
                canary = shelf.canaries.get(name)
                if canary is not None and is_in_canary(name, caller, canary.rules.percent):
                    return canary.model
            return answering
        versions = shelf.known.get(name)
        if versions is None:
            raise ModelNotFound("there is no such model")
        if version is not None and version not in versions and shelf.aliases[name].get(version) not in versions:
            raise ModelNotFound("there is no such version of this model")
        if shelf.lives[name].unloaded:
            raise ModelNotFound("the model is unloaded; its operators load it again when it is to serve")
        raise NotReady("the model is not ready; its operators find the reason in the log")

    @property
    def has_trials(self) -> bool:
        """Whether any model has a canary or a shadow."""
        return self._shelf.has_trials

    def canary(self, name: str) -> CanaryModel | None:
        """The version that answers a part of the callers of ``name``, if one does."""
        return self._shelf.canaries.get(name)

    def canaries(self) -> Mapping[str, CanaryModel]:
        """All of them, by name."""
        return self._shelf.canaries

    def shadow(self, name: str) -> Model | None:
        """The version whose answers for ``name`` are compared with those that are given, if there is one."""
        return self._shelf.shadows.get(name)

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
            shelf.state(name, version)
            for name in sorted(shelf.known)
            for version in sorted(shelf.known[name], key=version_order)
        )

    @property
    def problems(self) -> Mapping[str, str]:
        """``name/version`` (or ``name/`` and a file) → one line that says what is wrong with it."""
        return self._shelf.problems

    @property
    def unready(self) -> tuple[str, ...]:
        """Names of models of which no version answers; while there are any, the server is not ready."""
        return self._shelf.unready

    def _admit_all(self, draft: Draft, name: str, *, again: bool, waits: bool, serves: bool = False) -> None:
        """All versions of one model, unless it is unloaded; ``waits`` leaves some for after the fork."""
        try:
            draft.lives[name] = self._store.life(name)
        except PackageRefused as refused:
            draft.problems[f"{name}/life.json"] = str(refused)
        else:
            if draft.lives[name].canary is not None and self._withheld is not None and self._withheld.has(name):
                draft.lives[name] = draft.lives[name].model_copy(update={"canary": None})
        draft.models[name], draft.known[name] = {}, set(self._store.versions(name))
        draft.aliases[name] = self._aliases(draft, name)
        if name in draft.lives and draft.lives[name].unloaded:
            return
        for version in self._store.versions(name):
            kept = self._shelf.models.get(name, {}).get(version)
            if kept is not None and not again:
                draft.models[name][version] = kept
            else:
                self._admit(draft, name, version, waits=waits, serves=serves)

    def _admit(self, draft: Draft, name: str, version: str, *, waits: bool, serves: bool) -> None:
        kept = self._shelf.models.get(name, {}).get(version)
        stamp = self._store.stamp(name, version)  # before the files are read, so that whatever comes later is seen
        if kept is not None and stamp is not None and self._stamps.get((name, version)) == (kept.digest, stamp):
            draft.models[name][version] = kept
            return
        try:
            package = self._store.verify(name, version)
        except PackageRefused as refused:
            draft.problems[f"{name}/{version}"] = str(refused)
            return
        self._stamps[name, version] = package.artifact.digest, stamp
        if kept is not None and kept.digest == package.artifact.digest:
            draft.models[name][version] = kept
            return
        runtime = self._runtimes.get(package.manifest.runtime)
        # A pool of threads does not survive a fork, whichever framework owns it.
        if waits and runtime is not None and not (runtime.fork_safe and self._threads == 1):
            draft.waiting[name, version] = package
            return
        framework = framework_of(runtime)
        if serves and framework is not None and self._refused.get((name, version)) != self._stamps[name, version]:
            raise RelievedFirst(f"{name}/{version} is run by {framework}")
        self._build(draft, package)

    def _build(self, draft: Draft, package: VerifiedPackage) -> None:
        name, version = package.artifact.name, package.artifact.version
        try:
            draft.models[name][version] = load_model(package, self._runtimes, self._threads)
        except OperatorError as refused:
            draft.problems[f"{name}/{version}"] = str(refused)
            self._refused[name, version] = self._stamps[name, version]

    @staticmethod
    def _warm(draft: Draft, model: Model) -> None:
        try:
            draft.models[model.name][model.version] = model.warm_up()
        except Exception as error:  # noqa: BLE001 - a framework may raise anything, and none may stop the rest
            where = f"{model.name}/{model.version}"
            draft.problems[where] = f"{where}: the model fails on its own sample ({type(error).__name__})"
            del draft.models[model.name][model.version]

    def _aliases(self, draft: Draft, name: str) -> dict[str, str]:
        try:
            return self._store.aliases(name)
        except PackageRefused as refused:
            draft.problems[f"{name}/aliases.json"] = str(refused)
            return {}

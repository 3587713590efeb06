"""Keeps a worker's registry as the home says, while it serves: off the request path, and all workers alike."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from math import inf
from threading import Event, Lock, Thread

from ..errors import DeadlineExceeded, ModelNotFound, NotReady, OperatorError, PackageRefused, StorageUnavailable
from ..runtimes.libraries import RelievedFirst
from .changes import Changes, Report, Wanted
from .memory import let_go
from .model import Model
from .permission import Permission
from .registry import Registry
from .shelf import ModelState, as_told
from .store import Store
from .turns import Turns
from .withheld import Withheld

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
# What fails is tried again, and told again, no more often than this.
_AFTER_FAILURE_SECONDS = 5.0

OnRefresh = Callable[[Sequence[Model], Sequence[Model]], None]
"""Told of the models before and after."""


class Caretaker:
    """One worker's; ``watch_seconds`` is how often the folder is looked at without being told, 0 for never."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        changes: Changes,
        turns: Turns,
        withheld: Withheld,
        *,
        watch_seconds: float = 0.0,
    ) -> None:
        """To be made before ``registry`` loads: what is announced later is taken by the worker."""
        self._store = store
        self._registry = registry
        self._changes = changes
        self._permission = Permission(turns)
        self._withheld = withheld
        self._watch_seconds = watch_seconds
        self._taken = changes.wanted().number
        self._taken_of: dict[str, int] = {}
        self._seen: object = store.fingerprint() if watch_seconds else None
        self._next_look = 0.0
        self._is_folder_due = False
        self._up_to_date_at = 0.0
        self._slot = 0
        self._failed: dict[str, str] = {}
        self._on_refresh: OnRefresh = lambda _before, _after: None
        self._stopped = Event()
        self._leaves_at = inf
        self._telling = Lock()

    def start_worker(self, slot: int, on_refresh: OnRefresh, ask_for_relief: Callable[[], None] | None = None) -> None:
        """Take what changed since the master loaded, report, and from now on look for more.

        ``ask_for_relief``, where that can be asked for, has another worker take this one's place.
        """
        self._slot, self._on_refresh = slot, on_refresh
        wanted = self._changes.wanted()
        self._is_folder_due = self._has_folder_changed()  # nobody announces what others of this master saw there
        self._take(wanted, self._announced(wanted))
        self._report(wanted)
        self._up_to_date_at = time.monotonic()
        self._permission.begin_to_serve(ask_for_relief)
        Thread(target=self._live, name="models", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def leave(self, seconds: float) -> None:
        """Another takes this worker's place, which looks for no more changes: in ``seconds`` nothing new reaches it."""
        self._stopped.set()
        self._leaves_at = time.monotonic() + seconds
        self._report(self._changes.wanted())

    def change(self, name: str, decide: Callable[[Store], object], until: float) -> None:
        """Make ``decide`` true on every worker of this machine, or raise the Refusal that says why not.

        ModelNotFound for a model that the home lacks, StorageUnavailable when nothing can be written, DeadlineExceeded
        when a worker has not taken it ``until`` then, on the monotonic clock.
        """
        try:
            decide(self._store)
        except PackageRefused as refused:
            raise ModelNotFound(str(refused)) from None
        except (OSError, OperatorError):
            log.exception("a change of a model's life cannot be written")
            raise StorageUnavailable("the models folder cannot be written") from None
        number = self._changes.announce(name)
        if self._changes.wait(number, until) is None:
            raise DeadlineExceeded("not every worker has taken the change yet; ask the repository index again")

    def take_canary_back(self, name: str, trial: str) -> bool:
        """Let ``name`` have no canary on any worker, if it is on ``trial``; as ``Withheld.take_canary_back``."""
        is_ours = self._withheld.take_canary_back(self._store, name, trial)
        # Who did it may have failed to tell, and then those that find it done do.
        if is_ours or self._changes.wanted().again.get(name, 0) <= self._taken_number(name):
            try:
                self._changes.announce(name)
            except StorageUnavailable as unavailable:
                log.warning("not every worker knows yet that a canary ended: %s", unavailable, extra={"model": name})
        return is_ours

    def require_serving(self, name: str) -> None:
        """Raise NotReady, with what is wrong, unless a version of ``name`` answers."""
        if name in self._unready():
            raise NotReady("no version of the model could be loaded; the repository index says why")

    def problems(self, name: str | None = None) -> dict[str, str]:
        """What any worker of this machine found wrong, by model and version or file; of ``name``, by these alone."""
        found = {**({} if self._has_left else self._own_problems()), **self._changes.problems()}
        if name is None:
            return found
        return {where.removeprefix(f"{name}/"): what for where, what in found.items() if where.startswith(f"{name}/")}

    def states(self) -> tuple[ModelState, ...]:
        """The state of every version, where one that any worker of this machine refused is not ready."""
        problems = self.problems()
        return tuple(as_told(state, problems) for state in self._registry.states())

    def _live(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            try:
                self._look()
            except Exception:
                log.exception("the models folder could not be looked at")
                self._stopped.wait(_AFTER_FAILURE_SECONDS)
        self._permission.give_back(is_relieved=True)

    def _look(self) -> None:
        self._is_folder_due |= self._has_folder_changed()
        try:
            self._catch_up(self._changes.wanted())
        except RelievedFirst as first:
            self._permission.ask_for_relief(first)
        finally:
            self._permission.give_back()

    def _catch_up(self, wanted: Wanted) -> None:
        """Take what has changed: at once what needs no loading, and the rest as soon as it is this worker's turn."""
        if self._is_folder_due or wanted.number > self._taken:
            at_once = [name for name in self._announced(wanted) if not self._lacks([name])]
            with suppress(RelievedFirst):  # loaded, and altered since: with the rest
                self._take_names(wanted, at_once)
            names = self._announced(wanted)
            loads = bool(names) or (self._is_folder_due and self._lacks(None))
            if loads and not self._permission.is_given(self._up_to_date_at):
                if at_once:
                    self._report(wanted)
                return
            self._take(wanted, names)
            self._permission.give_back(is_relieved=True)
            self._report(wanted)
        self._up_to_date_at = time.monotonic()

    def _take(self, wanted: Wanted, names: Collection[str]) -> None:
        """The folder as it is, when it is due, and what is announced beside that: only this is verified anew."""
        if self._is_folder_due:
            self._refresh(None)
            self._is_folder_due = False  # not before: what fails is due at the next look again
        self._take_names(wanted, names)

    def _take_names(self, wanted: Wanted, names: Collection[str]) -> None:
        if names:
            self._refresh(names)
            self._taken_of |= {name: wanted.again[name] for name in names}

    def _lacks(self, names: Collection[str] | None) -> bool:
        with suppress(OperatorError):  # said when the models are refreshed
            return self._registry.lacks(names)
        return False

    def _has_folder_changed(self) -> bool:
        now = time.monotonic()
        if not self._watch_seconds or now < self._next_look:
            return False
        self._next_look = now + self._watch_seconds
        before, self._seen = self._seen, self._store.fingerprint()
        return before != self._seen

    def _announced(self, wanted: Wanted) -> list[str]:
        return [name for name, number in wanted.again.items() if number > self._taken_number(name)]

    def _taken_number(self, name: str) -> int:
        """That of the newest change of the model that this worker has taken."""
        return max(self._taken, self._taken_of.get(name, 0))

    def _refresh(self, names: Collection[str] | None) -> None:
        before, problems = self._registry.models(), dict(self._registry.problems)
        asked = {f"{name}/" for name in (names if names is not None else self._known())}
        self._failed = {where: what for where, what in self._failed.items() if names is not None and where not in asked}
        try:
            self._registry.refresh(names, serves=not self._permission.is_for_all)
        except OperatorError as refused:  # no key to verify with: what is loaded goes on
            log.error("models were not loaded: %s", refused)  # noqa: TRY400 - the line says all that there is
            self._failed |= dict.fromkeys(asked, str(refused))
        after = self._registry.models()
        for where, problem in self._registry.problems.items():
            if problems.get(where) != problem:
                log.error("model refused: %s", problem, extra={"model": where})
        self._on_refresh(before, after)
        staying = set(map(id, after))
        gone = [model for model in before if id(model) not in staying]
        del before, after
        if gone:
            let_go(gone)

    def _report(self, wanted: Wanted) -> None:
        """Say which change is the newest of those that were all taken, and what is wrong."""
        with self._telling, suppress(OSError):  # told again with the next change
            if not self._announced(wanted):
                self._taken = max(self._taken, wanted.number)
            report = Report(self._taken, os.getpid(), self._own_problems(), self._registry.unready, self._leaves_at)
            self._changes.report(self._slot, report)

    @property
    def _has_left(self) -> bool:
        return self._leaves_at < inf

    def _unready(self) -> Collection[str]:
        """Models that no worker can answer for, where this one has left and may not have taken the newest change."""
        return self._changes.unready() if self._has_left else self._registry.unready

    def _own_problems(self) -> dict[str, str]:
        return {**self._failed, **self._registry.problems}

    def _known(self) -> set[str]:
        return {state.name for state in self._registry.states()}

"""Keeps a worker's registry as the home says, while it serves: off the request path, and all workers alike."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from math import inf
from threading import Event, Lock, Thread

from ..errors import DeadlineExceeded, ModelNotFound, NotReady, OperatorError, PackageRefused, StorageUnavailable
from ..runtimes.libraries import FrameworkMissing
from .changes import Changes, Wanted
from .memory import let_go
from .model import Model
from .registry import Registry
from .shelf import ModelState, as_told
from .store import Store
from .turns import Turns
from .withheld import Withheld

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
# What fails is tried again, and told again, no more often than this.
_AFTER_FAILURE_SECONDS = 5.0
# Who has waited for so long loads beside the others: one of them may hang.
_PATIENCE_SECONDS = 60.0

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
        self._turns = turns
        self._withheld = withheld
        self._watch_seconds = watch_seconds
        self._taken = changes.wanted()
        self._seen: object = store.fingerprint() if watch_seconds else None
        self._next_look = 0.0
        self._is_folder_due = False
        self._up_to_date_at = 0.0
        self._slot = 0
        self._failed: dict[str, str] = {}
        self._imports = True
        self._ask_for_relief: Callable[[], None] | None = None
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
        if self._is_folder_due or wanted.number > self._taken.number:
            self._take(wanted)
        else:
            self._report(wanted)
        self._up_to_date_at = time.monotonic()
        self._ask_for_relief, self._imports = ask_for_relief, ask_for_relief is None
        Thread(target=self._live, name="models", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def leave(self, seconds: float) -> None:
        """Another worker takes this one's place, which takes no more changes: in ``seconds`` nothing new reaches it."""
        self._stopped.set()
        self._leaves_at = time.monotonic() + seconds
        self._report(self._taken)

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
        """Let ``name`` have no canary on any worker, also where its folder cannot be written, if it is on ``trial``.

        True for one of the workers that find it so, and for one only. Raises OSError when the home cannot be written
        either.
        """
        is_ours = self._end(name, trial)
        # Who did it may have failed to tell, and then those that find it done do.
        if is_ours or self._changes.wanted().again.get(name, 0) <= self._taken.number:
            try:
                self._changes.announce(name)
            except StorageUnavailable as unavailable:
                log.warning("not every worker knows yet that a canary ended: %s", unavailable, extra={"model": name})
        return is_ours

    def _end(self, name: str, trial: str) -> bool:
        try:
            return self._store.end_trial(name, trial)
        except (OSError, OperatorError) as error:
            is_ours = self._withheld.add(name)
            if is_ours:
                log.warning("a canary is withheld, and not taken back in its folder: %s", error, extra={"model": name})
            return is_ours

    def require_serving(self, name: str) -> None:
        """Raise NotReady, with what is wrong, unless a version of ``name`` answers."""
        if name in self._registry.unready:
            raise NotReady("no version of the model could be loaded; the repository index says why")

    def problems(self, name: str | None = None) -> dict[str, str]:
        """What any worker of this machine found wrong, by model and version or file; of ``name``, by these alone."""
        found = {**self._own_problems(), **self._changes.problems()}
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

    def _look(self) -> None:
        """Take what has changed, as soon as it is this worker's turn."""
        wanted = self._changes.wanted()
        self._is_folder_due |= self._has_folder_changed()
        if self._is_folder_due or wanted.number > self._taken.number:
            names = None if self._is_folder_due else self._announced(wanted)
            with self._turn(names) as is_ours:
                if not is_ours and time.monotonic() < self._up_to_date_at + _PATIENCE_SECONDS:
                    return
                try:
                    self._take(wanted)
                except FrameworkMissing as missing:
                    self._be_relieved(missing)
                    return
        self._up_to_date_at = time.monotonic()

    def _be_relieved(self, missing: FrameworkMissing) -> None:
        """Wait for another worker to take this one's place; one that never comes to serve is not waited for for ever.

        Importing a framework takes seconds, a part of which nobody else has the interpreter for, up to 0.2 s at a time.
        """
        log.info("a model needs %s, which takes long to import: a worker that begins with it takes over", missing)
        if self._ask_for_relief is not None:
            self._ask_for_relief()
            self._imports = not self._stopped.wait(_PATIENCE_SECONDS)

    def _take(self, wanted: Wanted) -> None:
        """The folder as it is, when it is due, and what is announced beside that: only this is verified anew."""
        announced = self._announced(wanted)
        if self._is_folder_due:
            self._refresh(self._taken, None)
            self._is_folder_due = False  # not before: what fails is due at the next look again
        if announced:
            self._refresh(wanted, announced)

    def _turn(self, names: Collection[str] | None) -> AbstractContextManager[bool]:
        """Only to load versions is one waited for: what else is decided about models is taken at once."""
        with suppress(OperatorError):  # said when the models are refreshed
            if not self._registry.lacks(names):
                return nullcontext(True)
        return self._turns.taken()

    def _has_folder_changed(self) -> bool:
        now = time.monotonic()
        if not self._watch_seconds or now < self._next_look:
            return False
        self._next_look = now + self._watch_seconds
        before, self._seen = self._seen, self._store.fingerprint()
        return before != self._seen

    def _announced(self, wanted: Wanted) -> list[str]:
        return [name for name, number in wanted.again.items() if number > self._taken.number]

    def _refresh(self, wanted: Wanted, names: Collection[str] | None) -> None:
        before, problems = self._registry.models(), dict(self._registry.problems)
        asked = {f"{name}/" for name in (names if names is not None else self._known())}
        self._failed = {where: what for where, what in self._failed.items() if names is not None and where not in asked}
        try:
            self._registry.refresh(names, imports=self._imports)
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
        self._report(wanted)

    def _report(self, wanted: Wanted) -> None:
        with self._telling, suppress(OSError):  # told again with the next change
            self._taken = max(self._taken, wanted, key=lambda each: each.number)
            self._changes.report(self._slot, self._taken.number, self._own_problems(), self._leaves_at)

    def _own_problems(self) -> dict[str, str]:
        return {**self._failed, **self._registry.problems}

    def _known(self) -> set[str]:
        return {state.name for state in self._registry.states()}

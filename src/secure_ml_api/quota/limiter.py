"""The limiter: quotas charged as a whole or not at all, and requests in flight."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from ..errors import QuotaExceeded, StorageUnavailable
from .failover import Failover
from .flask_storage import STORAGE_URI
from .in_flight import InFlight, Lease, all_taken
from .lmdb_storage import LmdbStorage
from .rates import parse_rate
from .standings import Charge, Standing, judge, refusal_of, standings_of
from .used_up import UsedUp
from .windows import Counter, Verdict, Wanted, stored_key

_LONGEST_SUBJECT = 200


class Asked(NamedTuple):
    """What one request asks for, of those that are admitted together."""

    subject: str
    charges: Sequence[Charge]
    places: int


Admitted = tuple[tuple[Standing, ...], Lease | None]


class Limiter:
    """Counts what clients and addresses use. Built before the fork, used after it: it opens nothing until then.

    A *subject* is whoever is charged. Give each kind its own prefix (``client:…``, ``address:…``), so that no client
    can be named like an address.
    """

    def __init__(self, counters: Failover, in_flight: InFlight) -> None:
        self.counters = counters
        self._in_flight = in_flight
        self._used_up = UsedUp()

    @property
    def degraded(self) -> bool:
        """Whether the store of the quotas does not answer right now."""
        return self.counters.degraded

    @property
    def storage_uri(self) -> str:
        """For Flask-Limiter, with ``storage_options``: it then counts in the same place, with the same stand-in."""
        return STORAGE_URI

    @property
    def storage_options(self) -> dict[str, Any]:
        return {"counters": self.counters}

    def admit(self, subject: str, charges: Sequence[Charge], places: int) -> tuple[tuple[Standing, ...], Lease]:
        """A place among ``places`` requests in flight, and all of ``charges``, or neither; raises as both do.

        One transaction where both are kept in the shared state.
        """
        store = self.counters.in_shared_state
        if store is not None:
            try:
                return self._admit_at_once(store, subject, charges, places)
            except StorageUnavailable:
                pass  # what does not answer is met again below, where each has its own way to fail
        lease = self.enter(subject, places)
        try:
            return self.charge(subject, charges), lease
        except BaseException:
            lease.release()
            raise

    def _admit_at_once(
        self, store: LmdbStorage, subject: str, charges: Sequence[Charge], places: int
    ) -> tuple[tuple[Standing, ...], Lease]:
        wanted = _wanted(subject, tuple(charges))
        verdict: Verdict = (False, [])

        def agreed(transaction: Any) -> bool:
            nonlocal verdict
            verdict = store.charge_within(transaction, wanted)
            return verdict[0]

        lease = self._in_flight.enter_if(_short(subject), places, agreed)
        if lease is None:
            self._used_up.note(wanted, verdict[1])
            raise refusal_of(charges, standings_of(charges, wanted, verdict[1]))
        return standings_of(charges, wanted, verdict[1]), lease

    def admit_each(self, asked: Sequence[Asked]) -> list[Admitted | QuotaExceeded] | None:
        """``admit`` for several requests that are worked on one after the other, or as one, at the cost of one.

        So they are one request in flight of each subject: the first of its requests that is admitted has the lease, and
        it must be released after the last. None, with nothing done, where a store cannot do it for all of them.
        """
        subjects = [_short(each.subject) for each in asked]
        places = {subject: each.places for subject, each in zip(subjects, asked, strict=True)}
        wanted = [_wanted(each.subject, tuple(each.charges)) for each in asked]
        store = self.counters.in_shared_state
        try:
            if store is not None:
                leases, verdicts = self._enter_and_charge(store, subjects, places, wanted)
            else:
                leases, verdicts = self._enter_then_charge(subjects, places, wanted)
        except StorageUnavailable:
            return None  # what does not answer is met again by each alone, where it has its own way to fail
        answers: list[Admitted | QuotaExceeded] = []
        for subject, each, its, verdict in zip(subjects, asked, wanted, verdicts, strict=True):
            if verdict is None:
                answers.append(all_taken(each.places))
                continue
            standings = standings_of(each.charges, its, verdict[1])
            if verdict[0]:
                answers.append((standings, leases.pop(subject, None)))
            else:
                self._note(its, verdict)
                answers.append(refusal_of(each.charges, standings))
        for unused in leases.values():
            unused.release()
        return answers

    def _enter_and_charge(
        self, store: LmdbStorage, subjects: Sequence[str], places: Mapping[str, int], wanted: Sequence[Wanted]
    ) -> tuple[dict[str, Lease], list[Verdict | None]]:
        """In one transaction of the shared state; None for who found no place."""
        verdicts: list[Verdict | None] = []

        def charge(transaction: Any, full: Container[str]) -> None:
            fitting = (None if subject in full else each for subject, each in zip(subjects, wanted, strict=True))
            verdicts[:] = store.charge_each_within(transaction, fitting)

        return self._in_flight.enter_each(places, charge), verdicts

    def _enter_then_charge(
        self, subjects: Sequence[str], places: Mapping[str, int], wanted: Sequence[Wanted]
    ) -> tuple[dict[str, Lease], list[Verdict | None]]:
        """One step after the other: nobody who writes to the shared state waits for a store elsewhere."""
        leases = self._in_flight.enter_each(places)
        fitting = [each for subject, each in zip(subjects, wanted, strict=True) if subject in leases]
        try:
            charged = iter(self.counters.run(lambda counters: counters.charge_each(fitting)))
        except BaseException:
            for lease in leases.values():
                lease.release()
            raise
        return leases, [next(charged) if subject in leases else None for subject in subjects]

    def check(self, subject: str, charge: Charge) -> None:
        """Raise QuotaExceeded if this process knows that the quota is used up until its window ends.

        It asks no store: knowing nothing says nothing. For refusing a caller before costly work that a ``charge`` of
        one unit follows.
        """
        counter = _counter(subject, charge.name, charge.rate)
        left_ns = self._used_up.left_ns(counter.key)
        if left_ns:
            judge((charge,), [(counter, 1)], (False, [(counter.limit, left_ns)]))

    def charge(self, subject: str, charges: Sequence[Charge]) -> tuple[Standing, ...]:
        """Take all of ``charges`` from ``subject``'s quotas or nothing; where it stands with each afterwards.

        Raises QuotaExceeded, having taken nothing, when one does not fit: whoever waits its ``retry_after_seconds``
        finds room unless others took it, or, with ``never``, has to ask for less. Raises StorageUnavailable when the
        counters cannot be reached and settings say to refuse then.
        """
        wanted = _wanted(subject, tuple(charges))
        verdict = self.counters.run(lambda counters: counters.charge(wanted))
        if not verdict[0]:
            self._note(wanted, verdict)
        return judge(charges, wanted, verdict)

    def _note(self, wanted: Wanted, verdict: Verdict) -> None:
        """Remember what is used up; what a stand-in has counted is not, as it may be gone at any moment."""
        if not self.counters.degraded:
            self._used_up.note(wanted, verdict[1])

    def peek(self, subject: str, charges: Sequence[Charge]) -> tuple[Standing, ...]:
        """Like ``charge``, raising what it would raise now, but nothing is taken."""
        wanted = _wanted(subject, tuple(charges))
        return judge(charges, wanted, self.counters.run(lambda counters: counters.peek(wanted)))

    def enter(self, subject: str, limit: int) -> Lease:
        """One of ``limit`` places for requests of ``subject`` in flight on this machine, until the lease is released.

        Raises QuotaExceeded when all are taken, and StorageUnavailable as ``charge``.
        """
        return self._in_flight.enter(_short(subject), limit)

    def set_slot(self, slot: int) -> None:
        """Name this process's place among the workers, before its first lease; two living ones never share one."""
        self._in_flight.set_slot(slot)

    def drop_slot(self, slot: int) -> None:
        """Forget the leases of the worker that was in ``slot`` and is gone."""
        self._in_flight.drop_slot(slot)

    def housekeep(self) -> None:
        """Forget windows that are over and mend what could not be written; bounded work, to be called every second.

        Never raises: a store that does not answer is met again by the next request.
        """
        self.counters.purge()
        self._in_flight.mend()
        self._used_up.purge()


@lru_cache(maxsize=8192)
def _wanted(subject: str, charges: tuple[Charge, ...]) -> Wanted:
    wanted = [(_counter(subject, name, rate), cost) for name, rate, cost in charges]
    if len(costs := dict(wanted)) != len(wanted):
        raise ValueError("one quota is charged once: add the costs up")
    if wanted and min(costs.values()) < 0:
        raise ValueError("a charge cannot be negative")
    return wanted


@lru_cache(maxsize=8192)
def _counter(subject: str, name: str, written: str) -> Counter:
    """The counter that the ``limits`` library's FixedWindow strategy uses for this rate and these identifiers."""
    rate = parse_rate(written)
    key = f"LIMITER/{_short(subject)}/{name}/{rate.key}"
    return Counter(key, stored_key(key), rate.limit, rate.window_seconds)


def _short(subject: str) -> str:
    """``subject`` as a key that every store takes; those that are long or not ASCII become a digest of themselves."""
    if len(subject) <= _LONGEST_SUBJECT and subject.isascii():
        return subject
    return "digest:" + blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()

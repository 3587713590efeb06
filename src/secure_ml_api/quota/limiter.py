"""The limiter: quotas charged as a whole or not at all, and requests in flight."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import QuotaExceeded, StorageUnavailable
from .charging import Charging, short, wanted_of
from .failover import Failover
from .in_flight import InFlight, all_taken
from .lease import Lease
from .lmdb_storage import LmdbStorage
from .standings import Charge, Standing, refusal_of, standings_of
from .windows import Verdict, Wanted


class Asked(NamedTuple):
    """What one request asks for, of those that are admitted together."""

    subject: str
    charges: Sequence[Charge]
    places: int


Admitted = tuple[tuple[Standing, ...], Lease | None]


class Limiter(Charging):
    """Charging, and a bound on the requests of each subject that are in flight."""

    def __init__(self, counters: Failover, in_flight: InFlight) -> None:
        super().__init__(counters)
        self._in_flight = in_flight

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
        wanted = wanted_of(subject, tuple(charges))
        verdict: Verdict = (False, [])

        def agreed(transaction: Any) -> bool:
            nonlocal verdict
            verdict = store.charge_within(transaction, wanted)
            return verdict[0]

        lease = self._in_flight.enter_if(short(subject), places, agreed)
        if lease is None:
            self._used_up.note(wanted, verdict[1])
            raise refusal_of(charges, standings_of(charges, wanted, verdict[1]))
        return standings_of(charges, wanted, verdict[1]), lease

    def admit_each(self, asked: Sequence[Asked]) -> list[Admitted | QuotaExceeded] | None:
        """``admit`` for several requests that are worked on one after the other, or as one, at the cost of one.

        So they are one request in flight of each subject: the first of its requests that is admitted has the lease, and
        it must be released after the last. None, with nothing done, where a store cannot do it for all of them.
        """
        subjects = [short(each.subject) for each in asked]
        places = {subject: each.places for subject, each in zip(subjects, asked, strict=True)}
        wanted = [wanted_of(each.subject, tuple(each.charges)) for each in asked]
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

    def admit_apart(self, asked: Sequence[Asked]) -> list[Admitted | QuotaExceeded] | None:
        """``admit`` for several requests that are worked on apart, each with a lease of its own, in one round trip.

        None, with nothing done, where a store cannot do it, or is so near that it costs no less than one by one.
        """
        if self.counters.in_shared_state is not None:
            return None
        wanted = [wanted_of(each.subject, tuple(each.charges)) for each in asked]
        entered: list[Lease | QuotaExceeded] = []
        try:
            entered.extend(self._entered(each) for each in asked)
            fitting = [its for its, lease in zip(wanted, entered, strict=True) if isinstance(lease, Lease)]
            charged = iter(self.counters.run(lambda counters: counters.charge_each(fitting)))
        except BaseException as error:
            for lease in entered:
                if isinstance(lease, Lease):
                    lease.release()
            if isinstance(error, StorageUnavailable):
                return None
            raise
        answers: list[Admitted | QuotaExceeded] = []
        for each, its, lease in zip(asked, wanted, entered, strict=True):
            if isinstance(lease, Lease):
                answers.append(self._admitted(each, its, next(charged), lease))
            else:
                answers.append(lease)
        return answers

    def _entered(self, asked: Asked) -> Lease | QuotaExceeded:
        try:
            return self.enter(asked.subject, asked.places)
        except QuotaExceeded as refusal:
            return refusal

    def _admitted(self, asked: Asked, wanted: Wanted, verdict: Verdict, lease: Lease) -> Admitted | QuotaExceeded:
        standings = standings_of(asked.charges, wanted, verdict[1])
        if verdict[0]:
            return standings, lease
        lease.release()
        self._note(wanted, verdict)
        return refusal_of(asked.charges, standings)

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

    def enter(self, subject: str, limit: int) -> Lease:
        """One of ``limit`` places for requests of ``subject`` in flight on this machine, until the lease is released.

        Raises QuotaExceeded when all are taken, and StorageUnavailable as ``charge``.
        """
        return self._in_flight.enter(short(subject), limit)

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

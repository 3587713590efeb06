"""Quotas charged as a whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from .failover import Failover
from .flask_storage import STORAGE_URI
from .rates import parse_rate
from .standings import Charge, Standing, judge
from .used_up import UsedUp
from .windows import Counter, Verdict, Wanted, stored_key

_LONGEST_SUBJECT = 200


class Charging:
    """Counts what clients and addresses use. Built before the fork, used after it: it opens nothing until then.

    A *subject* is whoever is charged. Give each kind its own prefix (``client:…``, ``address:…``), so that no client
    can be named like an address.
    """

    def __init__(self, counters: Failover) -> None:
        self.counters = counters
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
        wanted = wanted_of(subject, tuple(charges))
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
        wanted = wanted_of(subject, tuple(charges))
        return judge(charges, wanted, self.counters.run(lambda counters: counters.peek(wanted)))


@lru_cache(maxsize=8192)
def wanted_of(subject: str, charges: tuple[Charge, ...]) -> Wanted:
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
    key = f"LIMITER/{short(subject)}/{name}/{rate.key}"
    return Counter(key, stored_key(key), rate.limit, rate.window_seconds)


def short(subject: str) -> str:
    """``subject`` as a key that every store takes; those that are long or not ASCII become a digest of themselves."""
    if len(subject) <= _LONGEST_SUBJECT and subject.isascii():
        return subject
    return "digest:" + blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()

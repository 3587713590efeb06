"""The hash chain: pure functions from lines to hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FIRST_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: ``at`` is UTC in ISO 8601, ``details`` are flat JSON values."""

    at: str
    event: str
    actor: str | None
    outcome: str
    address: str | None
    request_id: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place where the trail is not what was written: the number of the line, and what is wrong there."""

    id: int
    why: str


def chained_hash(previous: str, number: int, entry: Entry) -> str:
    """SHA-256, as 64 hex digits, over the hash of the line before, the line's number and its canonical JSON."""
    content = [previous, number, entry.at, entry.event, entry.actor, entry.outcome, entry.address, entry.request_id]
    canonical = json.dumps([*content, dict(entry.details)], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def first_break(lines: Iterable[tuple[int, Entry, str]], last_id: int, last_hash: str) -> Broken | None:
    """The first of ``lines`` (number, entry, hash; in order) that does not follow from the one before.

    ``last_id`` and ``last_hash`` are what the head of the trail says its last line is.
    """
    number, running = 0, FIRST_HASH
    for id_, entry, stored in lines:
        if id_ != number + 1:
            return Broken(number + 1, "the line is missing")
        number, running = id_, chained_hash(running, id_, entry)
        if running != stored:
            return Broken(id_, "the line, or its hash, was altered")
    if number < last_id:
        return Broken(number + 1, "the line is missing")
    if number > last_id or running != last_hash:
        return Broken(number, "the head of the trail was altered")
    return None

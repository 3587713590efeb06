"""The hash chain: pure functions from lines and a key to hashes.

Every hash is an HMAC-SHA256 (RFC 2104), so only who has the key can make a line that follows from another. What a key
cannot show is that lines were cut off the end together with the head, or that all of it was replaced by an older copy:
for that the head is remembered outside the database, see ``checkpoint``.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FIRST_HASH = "0" * 64

# The event of the line that a writer puts where it found the trail to be other than it was left.
BREAK_EVENT = "audit.broken"
# The event of the line that says which lines went to a file.
PRUNED_EVENT = "audit.pruned"


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
class Line:
    """An entry in its place: its number, and the hash that binds it to the line before."""

    id: int
    entry: Entry
    hash: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One place in the trail: a line's number and its hash."""

    id: int = 0
    hash: str = FIRST_HASH


@dataclass(frozen=True, slots=True)
class Head:
    """Where the trail ends, and the last line that was pruned from its beginning."""

    last: Mark = Mark()
    anchor: Mark = Mark()


class Why(StrEnum):
    """What can be wrong at a line; each with what it means for who reads it."""

    MISSING = "the line is missing"
    ALTERED = "the line, or its hash, was altered"
    BEYOND = "the line comes after the end of the trail"
    HEAD = "the head of the trail was altered"
    CUT = "the trail ends before this line, which was there before"
    OTHER = "the line is not the one that was there before"
    NOTICED = "the server found the trail broken when it wrote this line"

    @property
    def meaning(self) -> str:
        return _MEANING[self]


_MEANING = {
    Why.MISSING: "it was deleted, or lines changed places; lines before it are as they were written",
    Why.ALTERED: "it was changed, inserted or moved without the key; lines before it are as they were written",
    Why.BEYOND: "it was inserted without the key, or the head was set back; lines before it are as they were written",
    Why.HEAD: "it is not sealed with the key of this home, so newest lines may be cut off, or oldest ones removed",
    Why.CUT: "the newest lines were cut off, or the whole trail was replaced by an older copy, such as a backup",
    Why.OTHER: "the trail went on from an older copy of itself, or is that of another database",
    Why.NOTICED: "its details say how; what is missing or altered lies before it, what follows it is as it was written",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place where the trail is not what was written: the number of the line, and what is wrong there."""

    id: int
    why: Why


def line_hash(key: bytes, previous: str, number: int, entry: Entry) -> str:
    """64 hex digits over the hash of the line before, the line's number and its canonical JSON."""
    content = [previous, number, entry.at, entry.event, entry.actor, entry.outcome, entry.address, entry.request_id]
    return _keyed(key, ["line", *content, dict(entry.details)])


def seal(key: bytes, head: Head) -> str:
    """64 hex digits that show that the holder of the key left the trail with this head."""
    return _keyed(key, ["head", head.last.id, head.last.hash, head.anchor.id, head.anchor.hash])


def is_sealed(key: bytes, head: Head, sealed: str) -> bool:
    """Whether ``sealed`` is the seal of ``head``; the head of a trail without lines needs none."""
    return head == Head() or hmac.compare_digest(sealed.encode(), seal(key, head).encode())


def chained(key: bytes, after: Mark, entries: Iterable[Entry]) -> list[Line]:
    """``entries`` as the lines that follow ``after``."""
    lines: list[Line] = []
    for entry in entries:
        number = after.id + 1
        after = Mark(number, line_hash(key, after.hash, number, entry))
        lines.append(Line(number, entry, after.hash))
    return lines


def first_break(
    key: bytes, lines: Iterable[Line], after: Mark, last: Mark | None, known: Iterable[Mark] = ()
) -> Broken | None:
    """The first of ``lines`` (in order) that does not follow from the one before, from ``after`` up to ``last``.

    ``known`` are places that the trail is known to have passed; those up to ``after`` are not looked at. Without a
    ``last`` the lines may end anywhere, before what is known too.
    """
    wanted = {mark for mark in known if mark.id > after.id}
    numbers = {mark.id for mark in wanted}
    running = after
    for line in lines:
        why = _wrong(key, running, line, last)
        if why is not None:
            return Broken(running.id + 1, why)
        running = Mark(line.id, line.hash)
        if line.id in numbers:
            wanted.discard(running)
            if any(mark.id == line.id for mark in wanted):
                return Broken(line.id, Why.OTHER)
    if last is None:
        return None
    if running.id < last.id:
        return Broken(running.id + 1, Why.MISSING)
    if running != last:
        return Broken(last.id, Why.HEAD)
    return Broken(last.id + 1, Why.CUT) if wanted else None


def _wrong(key: bytes, before: Mark, line: Line, last: Mark | None) -> Why | None:
    if line.id != before.id + 1:
        return Why.MISSING
    if last is not None and line.id > last.id:
        return Why.BEYOND
    if line.hash != line_hash(key, before.hash, line.id, line.entry):
        return Why.ALTERED
    return Why.NOTICED if line.entry.event == BREAK_EVENT else None


def _keyed(key: bytes, content: Sequence[Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.digest(key, canonical.encode("ascii"), "sha256").hex()

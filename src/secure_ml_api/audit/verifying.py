"""The lines in the database and those in files, held against one chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from .chain import PRUNED_EVENT, Broken, Head, Line, Mark, Why, first_break, is_sealed
from .exported import lines_of, read_start
from .store import read_lines


@dataclass(frozen=True, slots=True)
class Span:
    """Lines from one number to another, and the name of the file that they went to where a line says so."""

    first: int
    last: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: the first broken line, and the file that it is in (or else the database)."""

    head: Head
    broken: Broken | None = None
    file: Path | None = None
    unseen: tuple[Span, ...] = ()
    """Pruned lines that are in no file which was looked at."""

    @property
    def seen(self) -> Iterator[Span]:
        """The lines that were looked at."""
        first = 1
        for span in self.unseen:
            if first < span.first:
                yield Span(first, span.first - 1)
            first = span.last + 1
        yield Span(first, self.head.last.id)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    start: Mark
    end: Mark


class _Passing:
    """Notes what passes by: the last line, and which lines are said to have gone to a file."""

    def __init__(self) -> None:
        self.last = Mark()
        self.pruned: list[Span] = []

    def of(self, lines: Iterable[Line]) -> Iterator[Line]:
        for line in lines:
            yield line
            # Whoever takes the next one has found this one to be as it was written.
            self.last = Mark(line.id, line.hash)
            if line.entry.event == PRUNED_EVENT:
                details = line.entry.details
                self.pruned.append(Span(details["first"], details["last"], details["file"]))


def verdict(
    key: bytes, connection: Connection, found: tuple[Head, str] | None, known: Iterable[Mark], paths: Iterable[Path]
) -> Verdict:
    """Whether the trail is as it was written; ``found`` is its head, ``known`` as in ``first_break``.

    Where files hold lines of other files or of the database, they have to be the same. Files may lack, as they may be
    kept elsewhere, but lines of a file may not. Raises HomeError.
    """
    if found is None:
        return Verdict(Head(), Broken(0, Why.HEAD))
    head, sealed = found
    starts: dict[Path, Mark] = {}
    for path in dict.fromkeys(path.resolve() for path in paths):
        start, first = read_start(path), list(islice(lines_of(path), 1))
        # The first line's hash is made with that of the line before it, so that what the file says of it is proved.
        broken = first_break(key, first, start, None)
        if broken is not None:
            return Verdict(head, broken, path)
        starts[path] = start
    marks = {*known, head.anchor, *starts.values()}
    files: list[_File] = []
    passing = _Passing()
    for path, start in sorted(starts.items(), key=lambda each: each[1].id):
        passing.last = start
        broken = first_break(key, passing.of(lines_of(path)), start, None, marks)
        if broken is not None:
            return Verdict(head, broken, path)
        files.append(_File(path, start, passing.last))
        marks.add(passing.last)
    broken = first_break(key, passing.of(read_lines(connection, head.anchor.id)), head.anchor, head.last, marks)
    if broken is None and not is_sealed(key, head, sealed):
        broken = Broken(head.last.id, Why.HEAD)
    if broken is not None:
        return Verdict(head, broken)
    return _whole(head, files, passing.pruned)


def _whole(head: Head, files: Sequence[_File], pruned: Sequence[Span]) -> Verdict:
    """Of lines that are as they were written: whether those of a file that is there are all in it."""
    unseen = tuple(_unseen(files, head.anchor.id))
    paths = {file.path.name: file.path for file in files}
    for gap in unseen:
        for span in pruned:
            if span.file in paths and span.first <= gap.last and span.last >= gap.first:
                return Verdict(head, Broken(max(span.first, gap.first), Why.MISSING), paths[span.file])
    return Verdict(head, unseen=unseen)


def _unseen(files: Sequence[_File], up_to: int) -> Iterator[Span]:
    reached = 0
    for file in files:  # in the order of their beginnings
        if reached < min(file.start.id, up_to):
            yield Span(reached + 1, min(file.start.id, up_to))
        reached = max(reached, file.end.id)
    if reached < up_to:
        yield Span(reached + 1, up_to)

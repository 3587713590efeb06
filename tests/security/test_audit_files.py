"""Files of the audit trail, altered, cut or taken away: held against the chain of the database, and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from secure_ml_api.audit.chain import Broken, Entry, Mark, Why, chained
from secure_ml_api.audit.exported import write_lines
from secure_ml_api.audit.rotation import Wanted
from secure_ml_api.audit.trail import AuditTrail
from secure_ml_api.audit.verifying import Span
from secure_ml_api.database.engine import Database
from secure_ml_api.errors import HomeError
from support.recording import KEY


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def trail(database: Database, directory: Path) -> AuditTrail:
    """A trail of 13 lines; the first nine are in three files in its directory."""
    trail = AuditTrail(database, lambda: KEY, directory)
    for number in range(1, 11):
        trail.record("test", actor="somebody", outcome="ok", number=number)
    assert trail.flush(30)
    for up_to in (3, 6, 9):
        trail.prune(Wanted(up_to))
    return trail


def files_in(directory: Path) -> list[Path]:
    return sorted(directory.glob("lines-*.jsonl"))


def change(file: Path, changed: Callable[[list[str]], list[str]]) -> None:
    file.write_text("".join(changed(file.read_text().splitlines(keepends=True))))


def test_files_in_the_directory_and_the_database_make_one_chain(trail: AuditTrail) -> None:
    verdict = trail.verify()
    assert verdict.broken is None
    assert list(verdict.seen) == [Span(1, 13)]


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        (lambda lines: [*lines[:2], lines[2].replace("somebody", "nobody"), lines[3]], Broken(5, Why.ALTERED)),
        (lambda lines: [lines[0].replace('"hash": "', '"hash": "0'), *lines[1:]], Broken(4, Why.ALTERED)),
        (lambda lines: [*lines[:2], lines[3]], Broken(5, Why.MISSING)),
        (lambda lines: lines[:3], Broken(6, Why.MISSING)),
        (lambda lines: lines[:1], Broken(4, Why.MISSING)),
    ],
    ids=["altered", "beginning altered", "one taken out", "last taken out", "all taken out"],
)
def test_file_that_was_changed_in_the_directory_is_named(
    trail: AuditTrail, directory: Path, changed: Callable[[list[str]], list[str]], broken: Broken
) -> None:
    file = files_in(directory)[1]
    change(file, changed)
    verdict = trail.verify()
    assert (verdict.broken, verdict.file) == (broken, file)


def test_file_whose_first_lines_were_taken_out_is_named(trail: AuditTrail, directory: Path) -> None:
    file, content = files_in(directory)[0], files_in(directory)[0].read_text().splitlines()
    second = content[2].rpartition('"hash": "')[2][:64]
    file.write_text(
        "\n".join((f'{{"format": "secure-ml-api audit trail v1", "after": 2, "hash": "{second}"}}', content[3]))
    )
    verdict = trail.verify()
    assert (verdict.broken, verdict.file) == (Broken(1, Why.MISSING), file)


@pytest.mark.parametrize("content", ["", "no json\n", "{}\n"])
def test_file_that_is_none_of_the_trail_any_more_is_refused(trail: AuditTrail, directory: Path, content: str) -> None:
    file = files_in(directory)[2]
    file.write_text(content)
    with pytest.raises(HomeError, match=file.name):
        trail.verify()


@pytest.mark.parametrize(("number", "gone"), [(0, Span(1, 3)), (1, Span(4, 6)), (2, Span(7, 9))])
def test_lines_of_a_file_that_is_elsewhere_are_told_and_verify_once_it_is_named(
    trail: AuditTrail, directory: Path, tmp_path: Path, number: int, gone: Span
) -> None:
    elsewhere = files_in(directory)[number].rename(tmp_path / "elsewhere.jsonl")
    verdict = trail.verify()
    assert (verdict.broken, verdict.unseen) == (None, (gone,))
    assert sum(span.last - span.first + 1 for span in verdict.seen) == 10
    assert trail.verify(files=[elsewhere]).unseen == ()


def test_copy_that_holds_lines_of_files_and_of_the_database_verifies(
    database: Database, directory: Path, tmp_path: Path
) -> None:
    trail = AuditTrail(database, lambda: KEY, directory)
    for number in range(10):
        trail.record("test", actor=None, outcome="ok", number=number)
    assert trail.flush(30)
    trail.export(tmp_path / "copy.jsonl")
    trail.prune(Wanted(4))
    verdict = trail.verify(files=[tmp_path / "copy.jsonl", *files_in(directory)])
    assert (verdict.broken, verdict.unseen) == (None, ())


def test_copy_of_another_trail_with_the_same_key_is_not_taken_for_this_one(trail: AuditTrail, tmp_path: Path) -> None:
    others = [Entry("2026-01-01T00:00:00+00:00", "test", None, "ok", None, None, {})] * 12
    file = write_lines(tmp_path / "copy.jsonl", Mark(), chained(KEY, Mark(), others)).path
    broken = trail.verify(files=[file]).broken
    assert broken is not None
    assert broken.why is Why.OTHER


def test_copy_with_newer_lines_than_the_database_shows_that_these_were_cut_off(
    trail: AuditTrail, tmp_path: Path
) -> None:
    file = trail.export(tmp_path / "copy.jsonl").path
    last = trail.newest(1)[0]
    write_lines(file, trail.head().anchor, [*trail.newest(4), *chained(KEY, Mark(last.id, last.hash), [last.entry])])
    assert trail.verify(files=[file]).broken == Broken(14, Why.CUT)

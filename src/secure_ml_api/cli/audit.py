"""``audit``: read the trail of who did what, prove that it is whole, and keep it outside the database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OperatorError
from .common import home_option, json_option, load, say

if TYPE_CHECKING:
    from ..audit.chain import Broken, Line, Mark
    from ..audit.trail import AuditTrail
    from ..audit.verifying import Span

_MARK = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@click.group(name="audit", short_help="Read, verify and export the audit trail.")
def command() -> None:
    """Read the trail of who did what, prove that it is whole, and keep it outside the database."""


def _marks(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Mark, ...]:
    from ..audit.chain import Mark

    matches = [_MARK.fullmatch(value) for value in values]
    if not all(matches):
        raise click.BadParameter("write it as the log does: the number of a line, a colon, and its hash")
    return tuple(Mark(int(matched[1]), matched[2]) for matched in matches if matched)


@command.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--expect",
    "known",
    multiple=True,
    callback=_marks,
    metavar="LINE:HASH",
    help="A line that the trail had; from a log.",
)
@home_option
@json_option
def verify(files: tuple[Path, ...], known: tuple[Mark, ...], home: Path, as_json: bool) -> None:
    """Recompute the whole chain; exit with 1, naming the first broken line and what that means, unless it holds.

    Pruned lines are looked at in the home's audit/lines-*.jsonl, and exported ones in FILES; what they hold may be in
    the database too, and is the same then. Pruned lines that are in none of these are told, and nothing is said of
    them: name the file where it is kept elsewhere. The log tells the head of the trail every hour: with --expect
    LINE:HASH a trail that was set back to an older copy is noticed even when this home was set back with it.
    """
    with _opened(home) as trail:
        verdict = trail.verify(known, files)
    seen, last = list(verdict.seen), verdict.head.last
    payload: dict[str, Any] = {
        "ok": verdict.broken is None,
        "first": seen[-1].first,
        "last": last.id,
        "hash": last.hash,
        "not_looked_at": [{"first": span.first, "last": span.last} for span in verdict.unseen],
    }
    if verdict.broken is None:
        told = [f"lines {_numbers(seen)} are as they were written; the last is {last.hash}"]
        if verdict.unseen:
            told.append(
                f"lines {_numbers(verdict.unseen)} are in no file here and were not looked at: name theirs too "
                "(`audit list --event audit.pruned` tells their names)"
            )
        say(payload, as_json, told)
        return
    broken, file = verdict.broken, verdict.file
    payload["broken"] = {"line": broken.id, "why": str(broken.why), "means": broken.why.meaning}
    payload["broken"]["file"] = None if file is None else str(file)
    say(payload, as_json, [])
    raise OperatorError(_complaint(broken, file))


@command.command(name="list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="How many of the newest.")
@click.option("--event", help="Only lines of this event, such as client.create.")
@click.option("--actor", help="Only lines of this client id or operator.")
@home_option
@json_option
def list_(limit: int, event: str | None, actor: str | None, home: Path, as_json: bool) -> None:
    """List the newest lines, the oldest of them first. They are not verified: `audit verify` does that."""
    wanted = {name: value for name, value in (("event", event), ("actor", actor)) if value is not None}
    with _opened(home) as trail:
        lines = trail.newest(limit, **wanted)
    say([_shown(line) for line in lines], as_json, map(_told, lines))


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--up-to", type=click.IntRange(min=1), help="The last line that is written.  [default: the newest]")
@click.option("--prune", is_flag=True, help="Remove the lines from the database once they are in FILE.")
@click.option("--accept-broken", is_flag=True, help="Prune lines that do not verify too, once they are explained.")
@home_option
@json_option
def export(file: Path, up_to: int | None, prune: bool, *, accept_broken: bool, home: Path, as_json: bool) -> None:
    """Write the lines in the database to FILE, one JSON object a line; `audit verify FILE` verifies them.

    With --prune they are removed from the database afterwards, 20,000 at most at a time, and the trail says so. Lines
    that do not verify are only pruned with --accept-broken; FILE keeps them as they are, and what follows verifies.
    """
    from ..audit.rotation import Wanted
    from .stores import operator

    if file.exists():
        raise OperatorError(f"{file} exists already: name a file that does not")
    wanted = Wanted(up_to, path=file, actor=operator(), accept_broken=accept_broken)
    with _opened(home) as trail:
        written = trail.prune(wanted) if prune else trail.export(file, up_to)
    if written is None:
        say({"file": None, "lines": 0, "pruned": prune}, as_json, ["there is nothing to prune"])
        return
    payload = {
        "file": str(file),
        "first": written.after.id + 1,
        "last": written.last.id,
        "lines": written.count,
        "sha256": written.sha256,
        "pruned": prune,
    }
    done = "moved" if prune else "copied"
    say(payload, as_json, [f"{done} lines {written.after.id + 1} to {written.last.id} to {file}"])


@contextmanager
def _opened(home: Path) -> Iterator[AuditTrail]:
    from .stores import opened

    with opened(load(home)) as stores:
        yield stores.trail


def _complaint(broken: Broken, file: Path | None) -> str:
    where, kept = ("", "the database") if file is None else (f" in {file}", "the file")
    return (
        f"the audit trail is broken at line {broken.id}{where}: {broken.why}. This means: {broken.why.meaning}. Keep a "
        f"copy of {kept} as it is, and compare it with backups and with the heads in the log"
    )


def _numbers(spans: Iterable[Span]) -> str:
    return " and ".join(f"{span.first} to {span.last}" for span in spans)


def _shown(line: Line) -> dict[str, Any]:
    from dataclasses import asdict

    return {"line": line.id, **asdict(line.entry), "hash": line.hash}


def _told(line: Line) -> str:
    entry = line.entry
    details = " ".join(f"{key}={value}" for key, value in entry.details.items())
    parts = (str(line.id), entry.at, entry.event, entry.outcome, entry.actor, entry.address, details)
    return "  ".join(part for part in parts if part)

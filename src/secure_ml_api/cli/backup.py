"""``backup``: a home in one file."""

from __future__ import annotations

from pathlib import Path

import click

from .common import home_option, json_option, load, say


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@home_option
@json_option
def command(file: Path, home: Path, as_json: bool) -> None:
    """Write the home to FILE: keys, database, models, audit trail, configuration. A server may run on it.

    FILE holds every private key of the home: it is readable by its owner alone, and has to stay so. A database that is
    not SQLite is not in it: dump that one after FILE is there, not before.
    """
    from .backup_writing import write_backup
    from .stores import record_if_possible

    settings = load(home)
    record_if_possible(settings, "home.backup", file=str(file))
    index = write_backup(settings, file)
    lines = [f"wrote {len(index['sha256'])} files of {home} to {file}; private keys are among them"]
    if not index["database"]:
        lines.append("the database is not in it: dump it now, so that it is not older than what is in the file")
    say({"file": str(file), **index}, as_json, lines)

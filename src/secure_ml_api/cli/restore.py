"""``restore``: a home made of a backup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from ..settings import Settings
from .common import home_option, json_option, load, say


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@home_option
@json_option
def command(file: Path, home: Path, as_json: bool) -> None:
    """Make the home of the backup in FILE; the home must not be there yet, or be empty.

    `audit verify`, `models verify` and `doctor` say afterwards whether it is sound. What was revoked after the backup
    was taken is valid again: `keys retire --now` refuses every token from before.
    """
    from .backup_reading import read_backup
    from .stores import record_if_possible

    index = read_backup(file, home)
    settings = load(home)
    said = list(_left_to_do(settings, has_database=index["database"]))
    if not said:
        record_if_possible(settings, "home.restore", file=str(file))
    lines = [f"restored {home} as it was at {index['at']} (release {index['release']})", *said]
    say({"home": str(home), **index, "to_do": said}, as_json, lines)


def _left_to_do(settings: Settings, *, has_database: bool) -> Iterator[str]:
    from ..database.engine import parse_url
    from .backup_form import DATABASE

    url = parse_url(settings.database_url)
    restored = settings.home.absolute() / DATABASE
    if not has_database:
        yield "the database was not in the backup: restore its own dump before you serve"
    elif url.get_backend_name() != "sqlite" or Path(url.database or "").absolute() != restored:
        yield f"the settings name another database: move {restored} to where they name one, or change database.url"

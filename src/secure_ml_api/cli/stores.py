"""The stores of a home as a command uses them: prepared, closed at the end, and every change in the audit trail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..auth.assembly import Stores, open_stores
from ..database.migrate import require_migrated
from ..errors import OperatorError, Refusal
from ..settings import Settings
from ..state.shared import STANDING_FILE


@contextmanager
def opened(settings: Settings) -> Iterator[Stores]:
    """The stores of a home that was prepared; refusals of the core become one line for the operator.

    Raises OperatorError.
    """
    require_migrated(settings.database_url)
    # Without a running server there is no shared state to tell, and a command does not start one.
    state_exists = (settings.run_directory / STANDING_FILE).exists()
    stores = open_stores(settings, tell_machine=state_exists)
    try:
        yield stores
    except Refusal as error:
        raise OperatorError(error.detail) from error
    finally:
        if not stores.trail.flush():
            click.echo("secure-ml-api: warning: the audit trail could not be written", err=True)
        stores.database.close()


def operator() -> str:
    """Who runs the command, for the audit trail."""
    return f"operator:uid={os.getuid()}"


def record(stores: Stores, event: str, **details: Any) -> None:
    """Write one successful change by the operator to the audit trail."""
    stores.trail.record(event, actor=operator(), outcome="ok", **details)


def record_if_possible(settings: Settings, event: str, **details: Any) -> None:
    """As ``record``, in stores of its own; a database that is away, or older than this release, holds nothing up."""
    try:
        with opened(settings) as stores:
            record(stores, event, **details)
    except OperatorError as error:
        click.echo(f"secure-ml-api: warning: the audit trail could not be written: {error}", err=True)

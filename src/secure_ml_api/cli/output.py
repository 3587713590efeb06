"""What commands print, and what becomes of them when it cannot be written."""

from __future__ import annotations

import errno
import io
import os
import sys

import click

OUTPUT_LOST = os.EX_IOERR
"""What a command exits with when what it had to print could not be written, whatever else it did."""


class OutputLost(Exception):
    """Standard output does not take what is written to it, because of a full disk for example."""


def echo(text: str) -> None:
    """Print a line. Raises OutputLost, and BrokenPipeError when nobody reads on; later lines go nowhere then."""
    try:
        click.echo(text)
    except OSError as error:
        sys.stdout = io.StringIO()  # or what is left in the buffer would be tried again, and fail, at the exit
        if error.errno == errno.EPIPE:
            raise
        raise OutputLost(f"what was to be printed is lost: stdout: {error.strerror}") from None


def echo_if_possible(text: str) -> None:
    """As ``echo``, where there is more to do than to print: what is lost is said on stderr."""
    try:
        echo(text)
    except BrokenPipeError:
        pass
    except OutputLost as lost:
        click.echo(f"secure-ml-api: warning: {lost}", err=True)

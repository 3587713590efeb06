"""What keeps the comparison, or one of its figures, from being made."""

from __future__ import annotations


class CompareError(Exception):
    """The comparison cannot go on; ``str()`` is the one line that says why."""


class Unfit(Exception):
    """One server did not do the work: it refused, failed or answered something else. ``str()`` says what."""

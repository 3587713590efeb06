"""What attacks are tried against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.doormen import Lodge, open_lodge


@pytest.fixture(scope="module")
def lodge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lodge]:
    """One for all tests of a file: none of them leaves it other than it was for the next."""
    opened = open_lodge(tmp_path_factory.mktemp("home"))
    yield opened
    opened.stores.trail.flush()
    opened.stores.database.close()

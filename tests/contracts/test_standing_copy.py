"""The machine's copy of what stands, lost, full or spoiled: no revoked token gets in, and good ones are kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_ml_api.auth.assembly import Stores, open_stores
from secure_ml_api.errors import StorageUnavailable
from support.doormen import Lodge, open_lodge
from support.standing import cause, lose_state, verified


def test_lost_state_file_is_filled_before_it_is_asked(lodge: Lodge, elsewhere: Stores) -> None:
    revoked, kept = verified(lodge), verified(lodge)
    lodge.stores.revocations.revoke(revoked.token_id, revoked.client_id, revoked.expires_at)
    lose_state(lodge)
    assert (cause(lodge, revoked), cause(lodge, kept)) == ("revoked", None)  # from the file that has no name any more
    lodge.authenticator.refresh()
    assert (lodge.settings.run_directory / "standing.mdb").exists()
    assert (cause(lodge, revoked), cause(lodge, kept)) == ("revoked", None)
    elsewhere.clients.disable("reader")
    lodge.authenticator.refresh()
    assert cause(lodge, kept) == "client"


def test_state_file_swapped_by_another_worker_is_filled_on_demand(lodge: Lodge) -> None:
    revoked, kept = verified(lodge), verified(lodge)
    lodge.stores.revocations.revoke(revoked.token_id, revoked.client_id, revoked.expires_at)
    lose_state(lodge)
    state = lodge.stores.book._state
    assert state.mend()  # opened, and still empty
    assert (cause(lodge, revoked), cause(lodge, kept)) == ("revoked", None)


def test_restart_keeps_revocations(lodge: Lodge) -> None:
    revoked = verified(lodge)
    lodge.stores.revocations.revoke(revoked.token_id, revoked.client_id, revoked.expires_at)
    lodge.stores.book._state.close()
    lose_state(lodge)  # a start wipes run/
    assert cause(lodge, revoked) == "revoked"


def fill_up(lodge: Lodge) -> None:
    """Leave no room in the copy: not even in a page that is split by few keys, which random ones find in time."""
    state = lodge.stores.book._state
    for size_bytes in (100_000, 1000, 8):
        failures = 0
        while failures < 5000:
            try:
                with state.writing("revoked") as transaction:
                    transaction.put(secrets.token_bytes(32), bytes(size_bytes))
                failures = 0
            except StorageUnavailable:
                failures += 1


@pytest.fixture
def cramped(tmp_path: Path, database_url: str) -> Iterator[Lodge]:
    """A home with a copy that is soon full."""
    opened = open_lodge(tmp_path / "home", database_url, state={"size_bytes": 1024 * 1024})
    opened.authenticator.refresh()
    yield opened
    opened.stores.trail.flush()
    opened.stores.database.close()


def test_with_a_full_copy_the_database_is_asked(cramped: Lodge) -> None:
    revoked, kept = verified(cramped), verified(cramped)
    assert cause(cramped, revoked) is None
    fill_up(cramped)
    with pytest.raises(StorageUnavailable):  # it holds, but not at once everywhere, so it is not acknowledged
        cramped.stores.revocations.revoke(revoked.token_id, revoked.client_id, revoked.expires_at)
    for _ in range(2):
        assert (cause(cramped, revoked), cause(cramped, kept)) == ("revoked", None)
        assert cramped.stores.book.version != cramped.stores.book.version  # so nothing found is kept
        cramped.authenticator.refresh()


def test_other_workers_with_a_full_copy_ask_the_database_from_their_next_refresh(
    cramped: Lodge, elsewhere_of_cramped: Stores
) -> None:
    kept = verified(cramped)
    fill_up(cramped)
    elsewhere_of_cramped.clients.disable("reader")
    cramped.authenticator.refresh()
    assert cause(cramped, kept) == "client"


@pytest.fixture
def elsewhere_of_cramped(cramped: Lodge) -> Iterator[Stores]:
    stores = open_stores(cramped.settings, tell_machine=False)
    yield stores
    stores.database.close()


def test_copy_with_room_again_is_answered_from_again(cramped: Lodge) -> None:
    revoked = verified(cramped)
    fill_up(cramped)
    with pytest.raises(StorageUnavailable):
        cramped.stores.revocations.revoke(revoked.token_id, revoked.client_id, revoked.expires_at)
    lose_state(cramped)
    cramped.authenticator.refresh()
    assert cause(cramped, revoked) == "revoked"
    assert cramped.stores.book.version == cramped.stores.book.version


def test_copy_that_holds_what_nobody_wrote_is_replaced(lodge: Lodge) -> None:
    kept = verified(lodge)
    for content in (b"no JSON", b"[]", b'{"client_id": 1}'):
        with lodge.stores.book._state.writing("standing") as transaction:
            transaction.put(hashlib.sha256(lodge.client.client_id.encode()).digest(), content)
        assert cause(lodge, kept) is None
        lodge.authenticator.refresh()
        assert cause(lodge, kept) is None
    assert lodge.stores.book.version == lodge.stores.book.version


def test_overwritten_copy_lets_no_revoked_token_in_and_keeps_good_ones(lodge: Lodge) -> None:
    revoked, kept = verified(lodge), verified(lodge)
    lodge.stores.revocations.revoke(revoked.token_id, revoked.client_id, revoked.expires_at)
    with (lodge.settings.run_directory / "standing.mdb").open("r+b") as file:
        file.write(bytes(1 << 20))
    for _ in range(2):
        assert (cause(lodge, revoked), cause(lodge, kept)) == ("revoked", None)
        lodge.authenticator.refresh()

"""What still stands, on every database: at once on the machine, within a poll elsewhere, and through every loss."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from secure_ml_api.auth.assembly import Stores, open_stores
from secure_ml_api.auth.claims import Claims
from secure_ml_api.auth.standing import StandingBook
from secure_ml_api.database.tables import changes, clients
from secure_ml_api.errors import StorageUnavailable, TokenRefused
from support.doormen import Lodge, open_lodge


@pytest.fixture
def lodge(tmp_path: Path, database_url: str) -> Iterator[Lodge]:
    opened = open_lodge(tmp_path / "home", database_url)
    opened.authenticator.refresh()
    yield opened
    opened.stores.trail.flush()
    opened.stores.database.close()


@pytest.fixture
def elsewhere(lodge: Lodge) -> Iterator[Stores]:
    """Another machine with the same database: what it writes to its own shared state is not seen here."""
    stores = open_stores(lodge.settings, tell_machine=False)
    yield stores
    stores.database.close()


def verified(lodge: Lodge, scopes: str = "predict:iris models:read") -> Claims:
    """The claims of a token that was just issued to the client of ``lodge``."""
    now = 1_000_000_000_000
    settings = lodge.settings.tokens
    return Claims(
        issuer=settings.issuer,
        audience=settings.audience,
        subject=lodge.client.client_id,
        client_id=lodge.client.client_id,
        token_id=str(uuid.uuid4()),
        issued_at=0,
        expires_at=now,
        scopes=frozenset(scopes.split()),
    )


def cause(lodge: Lodge, claims: Claims) -> str | None:
    """Why a verified token is refused; None when it is not."""
    try:
        lodge.authenticator.standing(claims)
    except TokenRefused as refused:
        return refused.cause
    return None


def lose_state(lodge: Lodge) -> None:
    shutil.rmtree(lodge.settings.run_directory)


def test_revoked_token_is_refused_at_once(lodge: Lodge) -> None:
    claims = verified(lodge)
    assert cause(lodge, claims) is None
    lodge.stores.revocations.revoke(claims.token_id, claims.client_id, claims.expires_at)
    assert cause(lodge, claims) == "revoked"


def test_revoking_twice_is_one_revocation(lodge: Lodge) -> None:
    claims = verified(lodge)
    for _ in range(2):
        lodge.stores.revocations.revoke(claims.token_id, claims.client_id, claims.expires_at)
    assert cause(lodge, claims) == "revoked"
    assert cause(lodge, verified(lodge)) is None


def test_disabled_client_is_refused_at_once_and_accepted_again_when_enabled(lodge: Lodge) -> None:
    claims = verified(lodge)
    lodge.stores.clients.disable("reader")
    assert cause(lodge, claims) == "client"
    lodge.stores.clients.enable("reader")
    assert cause(lodge, claims) is None


def test_deleted_client_is_refused_at_once(lodge: Lodge) -> None:
    claims = verified(lodge)
    lodge.stores.clients.delete("reader")
    assert cause(lodge, claims) == "client"


def test_narrowed_scopes_reach_tokens_that_were_issued_before(lodge: Lodge) -> None:
    claims = verified(lodge)
    lodge.stores.clients.set_scopes("reader", ["models:read"])
    assert lodge.authenticator.standing(claims).scopes == {"models:read"}


def test_widened_scopes_do_not_widen_tokens_that_were_issued_before(lodge: Lodge) -> None:
    claims = verified(lodge)
    lodge.stores.clients.set_scopes("reader", ["models:read", "predict:*", "models:admin"])
    assert lodge.authenticator.standing(claims).scopes == {"models:read", "predict:iris"}


def test_quotas_are_those_of_the_client_now(lodge: Lodge) -> None:
    principal = lodge.authenticator.standing(verified(lodge))
    assert (principal.requests, principal.rows, principal.concurrency) == ("600/minute", "100000/minute", 64)


def test_changes_made_elsewhere_arrive_with_the_next_refresh(lodge: Lodge, elsewhere: Stores) -> None:
    revoked, kept = verified(lodge), verified(lodge)
    elsewhere.revocations.revoke(revoked.token_id, revoked.client_id, revoked.expires_at)
    lodge.authenticator.refresh()
    assert (cause(lodge, revoked), cause(lodge, kept)) == ("revoked", None)
    elsewhere.clients.disable("reader")
    lodge.authenticator.refresh()
    assert cause(lodge, kept) == "client"
    elsewhere.clients.enable("reader")
    lodge.authenticator.refresh()
    assert cause(lodge, kept) is None
    elsewhere.clients.delete("reader")
    lodge.authenticator.refresh()
    assert cause(lodge, kept) == "client"


def test_client_made_elsewhere_is_known_before_the_next_refresh(lodge: Lodge, elsewhere: Stores) -> None:
    record, _ = elsewhere.clients.create("newcomer", ["models:read"])
    lodge.client = record
    assert lodge.authenticator.standing(verified(lodge)).client_id == record.client_id


def test_late_copy_of_an_old_record_never_undoes_a_newer_one(lodge: Lodge) -> None:
    """A worker may have read the client before it was disabled, and write what it read afterwards."""
    before = lodge.stores.clients.show("reader")
    lodge.stores.clients.disable("reader")
    lodge.stores.book.put_client(before.client_id, before, before.revision)
    assert cause(lodge, verified(lodge)) == "client"


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


def test_revocations_outlive_their_tokens_by_a_day_and_are_then_forgotten(lodge: Lodge) -> None:
    claims = verified(lodge)
    lodge.stores.revocations.revoke(claims.token_id, claims.client_id, 1_000_000)
    hour = 3600
    for prune in (lodge.stores.book.prune, lodge.stores.revocations.prune):
        assert prune(1_000_000 + hour) == 0
        assert prune(1_000_000 + 25 * hour) == 1
    assert cause(lodge, claims) is None


def test_database_restored_from_an_older_backup_is_followed(lodge: Lodge, elsewhere: Stores) -> None:
    revoked, kept = verified(lodge), verified(lodge)
    lodge.stores.revocations.revoke(revoked.token_id, revoked.client_id, revoked.expires_at)
    lodge.stores.clients.disable("reader")
    lodge.authenticator.refresh()
    with lodge.stores.database.transaction() as connection:
        connection.execute(delete(changes).where(changes.c.id > 1))
        connection.execute(update(clients).values(enabled=True, revision=1))
    lodge.authenticator.refresh()
    assert (cause(lodge, kept), cause(lodge, revoked)) == (None, "revoked")


def test_nothing_is_accepted_while_nothing_can_tell(lodge: Lodge, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = verified(lodge)
    lodge.stores.book._state.close()
    lose_state(lodge)

    def gone() -> None:
        raise StorageUnavailable("the database does not answer")

    monkeypatch.setattr(lodge.stores.database, "session", gone)
    with pytest.raises(StorageUnavailable):
        lodge.authenticator.standing(claims)


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


def test_with_refuse_nothing_is_accepted_while_the_database_is_away(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lodge = open_lodge(tmp_path / "home", database_url, database={"on_storage_error": "refuse"})
    lodge.authenticator.refresh()
    token = f"Bearer {lodge.token()}"
    assert lodge.authenticator.authenticate(token).client_id == lodge.client.client_id
    with monkeypatch.context() as patch:

        def gone() -> None:
            raise StorageUnavailable("the database does not answer")

        patch.setattr(lodge.stores.database, "session", gone)
        lodge.authenticator.refresh()
        with pytest.raises(StorageUnavailable):
            lodge.authenticator.authenticate(token)
    lodge.authenticator.refresh()
    assert lodge.authenticator.authenticate(token).client_id == lodge.client.client_id
    lodge.stores.trail.flush()
    lodge.stores.database.close()


def test_with_refuse_a_database_that_was_not_seen_for_three_seconds_is_away(lodge: Lodge) -> None:
    now = [0.0]
    book = StandingBook(lodge.stores.database, lodge.stores.book._state, "refuse", lambda: now[0])
    claims = verified(lodge)
    with pytest.raises(StorageUnavailable):
        book.look_up(claims.token_id, claims.client_id)  # it was never seen
    book.catch_up()
    now[0] = 2.9
    assert not book.look_up(claims.token_id, claims.client_id).revoked
    now[0] = 3.1
    with pytest.raises(StorageUnavailable):
        book.look_up(claims.token_id, claims.client_id)
    with pytest.raises(StorageUnavailable):
        _ = book.version

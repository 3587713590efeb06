"""What still stands, on every database: at once on the machine, within a poll elsewhere."""

from __future__ import annotations

from sqlalchemy import delete, update

from secure_ml_api.auth.assembly import Stores
from secure_ml_api.database.tables import changes, clients
from support.doormen import Lodge
from support.standing import cause, verified


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

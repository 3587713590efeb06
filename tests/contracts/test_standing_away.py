"""While nothing can tell what stands, or with `refuse` the database cannot, nothing is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from secure_ml_api.auth.standing import StandingBook
from secure_ml_api.errors import StorageUnavailable
from support.doormen import Lodge, open_lodge
from support.standing import lose_state, verified


def test_nothing_is_accepted_while_nothing_can_tell(lodge: Lodge, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = verified(lodge)
    lodge.stores.book._state.close()
    lose_state(lodge)

    def gone() -> None:
        raise StorageUnavailable("the database does not answer")

    monkeypatch.setattr(lodge.stores.database, "session", gone)
    with pytest.raises(StorageUnavailable):
        lodge.authenticator.standing(claims)


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

"""Authentication while its stores come and go."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_ml_api.auth.assembly import open_stores
from secure_ml_api.auth.principal import Principal
from secure_ml_api.errors import StorageUnavailable, TokenRefused
from support.doormen import Lodge, open_lodge
from support.forking import run_in_fork
from support.server import wait_until


@pytest.fixture
def lodge(tmp_path: Path) -> Iterator[Lodge]:
    opened = open_lodge(tmp_path)
    opened.authenticator.refresh()
    yield opened
    opened.stores.trail.flush(0.1)
    opened.stores.database.close()


def authenticated(lodge: Lodge, token: str) -> Principal:
    return lodge.authenticator.authenticate(f"Bearer {token}")


def lose_database(lodge: Lodge) -> Path:
    """Move the database away; where to."""
    home = lodge.settings.home
    lodge.stores.trail.flush()
    return (home / "data.db").rename(home / "moved.db")


def is_revoked(lodge: Lodge, token: str) -> bool:
    """Revoke ``token``; whether that could be."""
    try:
        lodge.oauth.revoke([("token", token)], lodge.basic(), None)
    except StorageUnavailable:
        return False
    return True


def test_lost_database_leaves_good_tokens_good_and_revoked_ones_revoked(lodge: Lodge) -> None:
    good, revoked = lodge.token(), lodge.token()
    lodge.oauth.revoke([("token", revoked)], lodge.basic(), None)
    lose_database(lodge)
    lodge.authenticator.refresh()
    assert authenticated(lodge, good).client_id == lodge.client.client_id
    with pytest.raises(TokenRefused):
        authenticated(lodge, revoked)


def test_lost_database_answers_what_needs_it_with_storage_unavailable(lodge: Lodge) -> None:
    token = lodge.token()
    lose_database(lodge)
    with pytest.raises(StorageUnavailable):
        lodge.token()
    with pytest.raises(StorageUnavailable):
        lodge.oauth.revoke([("token", token)], lodge.basic(), None)
    assert authenticated(lodge, token).token_id  # what was not acknowledged did not happen


def test_database_that_came_back_is_used_again(lodge: Lodge) -> None:
    token = lodge.token()
    moved = lose_database(lodge)
    lodge.authenticator.refresh()
    moved.rename(lodge.settings.home / "data.db")
    wait_until(lambda: is_revoked(lodge, token), what="the database to be asked again")
    with pytest.raises(TokenRefused):
        authenticated(lodge, token)


def test_trouble_is_logged_once_and_its_end_too(lodge: Lodge, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "secure_ml_api.auth")
    moved = lose_database(lodge)
    for _ in range(3):
        lodge.authenticator.refresh()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["database"]
    moved.rename(lodge.settings.home / "data.db")
    wait_until(lambda: works_again(lodge, caplog), what="the database to be asked again")


def works_again(lodge: Lodge, caplog: pytest.LogCaptureFixture) -> bool:
    lodge.authenticator.refresh()
    return caplog.records[-1].getMessage() == "database: working again"


def test_unreadable_keys_do_not_stop_the_housekeeping(lodge: Lodge) -> None:
    token = lodge.token()
    lodge.settings.keys_directory.chmod(0o755)
    (lodge.settings.keys_directory / "tokens.json").touch()
    lodge.stores.clients.disable("reader")
    lodge.authenticator.refresh()
    with pytest.raises(TokenRefused):
        authenticated(lodge, token)


def test_key_retired_by_another_process_is_refused_after_a_refresh(lodge: Lodge) -> None:
    token = lodge.token()
    ring = open_stores(lodge.settings).ring
    ring.retire(ring.signing_key().kid, immediately=True)
    lodge.authenticator.refresh()
    with pytest.raises(TokenRefused):
        authenticated(lodge, token)
    assert authenticated(lodge, lodge.token()).token_id


def test_forked_workers_see_each_others_revocations_at_once(tmp_path: Path) -> None:
    """Everything is built before the fork, and nothing was opened there."""
    lodge = open_lodge(tmp_path)
    lodge.stores.database.close()
    token = lodge.token()
    lodge.stores.trail.flush()

    def accept() -> None:
        assert authenticated(lodge, token).token_id
        lodge.stores.trail.flush()

    def revoke() -> None:
        lodge.oauth.revoke([("token", token)], lodge.basic(), None)
        assert lodge.stores.trail.flush()

    def refuse() -> None:
        with pytest.raises(TokenRefused):
            authenticated(lodge, token)

    assert run_in_fork(accept)
    assert run_in_fork(revoke)
    assert run_in_fork(refuse)
    refuse()


def test_token_that_ends_between_its_check_and_its_standing_is_refused(lodge: Lodge) -> None:
    """The place where a cache of verified tokens will sit between the two."""
    claims = lodge.authenticator.verify(lodge.token())
    lodge.authenticator._now = lambda: claims.expires_at + 11.0
    with pytest.raises(TokenRefused) as caught:
        lodge.authenticator.standing(claims)
    assert caught.value.cause == "expired"


def test_token_found_again_is_answered_with_what_its_client_may_do_now(lodge: Lodge) -> None:
    token = lodge.token()
    authenticated(lodge, token)  # which fills the copy of the database
    assert authenticated(lodge, token) is authenticated(lodge, token)  # nothing changed: nothing is put together anew
    lodge.stores.clients.disable(authenticated(lodge, token).client_id)
    with pytest.raises(TokenRefused) as caught:
        authenticated(lodge, token)
    assert caught.value.cause == "client"

"""Client applications on every database."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from secure_ml_api.access_sections import QuotasSettings
from secure_ml_api.auth.clients import Clients
from secure_ml_api.auth.secrets import SecretHasher
from secure_ml_api.database.engine import Database
from secure_ml_api.database.tables import clients as table
from secure_ml_api.errors import OperatorError, SubjectNotFound


@pytest.fixture
def clients(database: Database) -> Clients:
    return Clients(database, SecretHasher(2), QuotasSettings())


def test_a_new_client_is_recognised_by_its_secret(clients: Clients) -> None:
    record, secret = clients.create("app", ["predict:iris", "models:read"], requests="5/minute", concurrency=3)
    assert clients.recognise(record.client_id, secret) == record
    assert (record.requests, record.rows, record.concurrency) == ("5/minute", "100000/minute", 3)
    assert record.scopes == {"predict:iris", "models:read"}
    assert record.enabled


def test_a_secret_has_256_bits_and_is_stored_as_argon2id(clients: Clients, database: Database) -> None:
    _, secret = clients.create("app", ["models:read"])
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)
    with database.session() as connection:
        stored = connection.execute(select(table.c.secret_hash)).scalar_one()
    assert stored.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert secret not in stored


def test_names_are_unique(clients: Clients) -> None:
    clients.create("app", ["models:read"])
    with pytest.raises(OperatorError, match="already"):
        clients.create("app", ["models:read"])
    assert len(clients.list()) == 1


@pytest.mark.parametrize("name", ["", " app", "a" * 101, "a\nb", "a\x00b", "../x", "é"])
def test_unfit_names_are_refused(clients: Clients, name: str) -> None:
    with pytest.raises(OperatorError, match="name"):
        clients.create(name, ["models:read"])


@pytest.mark.parametrize(
    "scope", ["", "predict", "predict:", "predict:a b", "models:write", "*", "predict:*x", "Models:read"]
)
def test_unknown_scopes_are_refused(clients: Clients, scope: str) -> None:
    with pytest.raises(OperatorError, match="scope"):
        clients.create("app", ["models:read", scope])


def test_a_client_needs_a_scope(clients: Clients) -> None:
    with pytest.raises(OperatorError, match="scope"):
        clients.create("app", [])


@pytest.mark.parametrize("rate", ["600", "0/minute", "1/week", "-1/second", "1.5/hour", "600 / minute", "1/minute\n"])
def test_bad_rates_are_refused(clients: Clients, rate: str) -> None:
    for quota in ({"requests": rate}, {"rows": rate}):
        with pytest.raises(OperatorError, match="600/minute"):
            clients.create("app", ["models:read"], requests=quota.get("requests"), rows=quota.get("rows"))


@pytest.mark.parametrize("number", [0, -1, 10_000_000])
def test_bad_concurrency_is_refused(clients: Clients, number: int) -> None:
    with pytest.raises(OperatorError, match="concurrency"):
        clients.create("app", ["models:read"], concurrency=number)


def test_a_client_is_found_by_id_and_by_name(clients: Clients) -> None:
    record, _ = clients.create("app", ["models:read"])
    assert clients.show("app") == clients.show(record.client_id) == record


def test_clients_are_listed_by_name(clients: Clients) -> None:
    for name in ("b", "c", "a"):
        clients.create(name, ["models:read"])
    assert [client.name for client in clients.list()] == ["a", "b", "c"]


def test_an_old_secret_is_refused_after_the_rotation(clients: Clients) -> None:
    record, old = clients.create("app", ["models:read"])
    rotated, new = clients.rotate_secret("app")
    assert clients.recognise(record.client_id, old) is None
    assert clients.recognise(record.client_id, new) == rotated


def test_a_disabled_client_is_not_recognised_until_it_is_enabled(clients: Clients) -> None:
    record, secret = clients.create("app", ["models:read"])
    assert clients.disable("app").enabled is False
    assert clients.recognise(record.client_id, secret) is None
    clients.enable("app")
    assert clients.recognise(record.client_id, secret) is not None


def test_a_deleted_client_is_gone_and_its_name_is_free(clients: Clients) -> None:
    record, secret = clients.create("app", ["models:read"])
    clients.delete(record.client_id)
    assert clients.recognise(record.client_id, secret) is None
    again, _ = clients.create("app", ["models:read"])
    assert again.client_id != record.client_id


@pytest.mark.parametrize("call", ["show", "rotate_secret", "disable", "enable", "delete"])
def test_what_is_not_there_cannot_be_changed(clients: Clients, call: str) -> None:
    with pytest.raises(SubjectNotFound):
        getattr(clients, call)("nobody")


@pytest.mark.parametrize("client_id", ["", "nobody", "' OR 1=1 --", "a\x00b", "é" * 10, "x" * 100_000])
def test_strange_ids_and_secrets_are_not_recognised(clients: Clients, client_id: str) -> None:
    record, secret = clients.create("app", ["models:read"])
    assert clients.recognise(client_id, secret) is None
    for other in ("", "x", secret + "x", secret[:-1], "\x00", "é", "x" * 100_000):
        assert clients.recognise(record.client_id, other) is None


def test_every_change_has_a_later_revision(clients: Clients) -> None:
    record, _ = clients.create("app", ["models:read"])
    revisions = [record.revision, clients.rotate_secret("app")[0].revision, clients.disable("app").revision]
    revisions += [clients.enable("app").revision, clients.set_scopes("app", ["predict:*"]).revision]
    assert revisions == sorted(set(revisions))

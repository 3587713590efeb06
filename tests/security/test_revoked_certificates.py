"""A client's certificate that its authority has revoked: stolen with its key, it opens nothing."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support.certificates import Authority, Signed
from support.server import STAND_IN, RunningServer, wait_until

METRIC = "secure_ml_api_client_revocations_expiry_timestamp_seconds"


class Place(NamedTuple):
    """Where the server reads what is revoked, and who has certificates: ``stolen`` is on the list from the start."""

    authority: Authority
    revocations: Path
    mine: Signed
    stolen: Signed

    def revoke(self, *revoked: Signed) -> None:
        """Put another list in the place of the old one, at one stroke."""
        beside = self.revocations.with_suffix(".new")
        beside.write_bytes(self.authority.revocations(*revoked))
        beside.replace(self.revocations)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("ca")
    authority = Authority(folder)
    made = Place(authority, folder / "revoked.pem", authority.client("mine"), authority.client("stolen"))
    made.revoke(made.stolen)
    return made


@pytest.fixture(scope="module", params=["inplace", "gthread"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, place: Place
) -> Iterator[RunningServer]:
    environ = {
        **place.authority.server(request.param).settings(),
        "SECURE_ML_API_SERVER__WORKER_CLASS": request.param,
        "SECURE_ML_API_SERVER__TLS_CLIENT_CA": str(place.authority.pem),
        "SECURE_ML_API_SERVER__TLS_CLIENT_CERTIFICATES": "required",
        "SECURE_ML_API_SERVER__TLS_CLIENT_REVOCATIONS": str(place.revocations),
    }
    place.revoke(place.stolen)
    home = tmp_path_factory.mktemp("revoked") / "home"
    tls = place.authority.trusting(place.mine)
    with RunningServer(home, "--workers", "2", command=STAND_IN, environ=environ, tls=tls) as running:
        yield running


def served(
    server: RunningServer, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSession | None:
    """The session of a connection over which a request was answered; None when it was not."""
    try:
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.session if connection.recv(1000) else None
    except (ssl.SSLError, ConnectionError):
        return None


def is_served_nowhere(server: RunningServer, context: ssl.SSLContext) -> bool:
    return not any(served(server, context) for _ in range(12))


def test_a_certificate_on_the_list_gets_no_connection_and_its_neighbours_do(
    server: RunningServer, place: Place
) -> None:
    assert is_served_nowhere(server, place.authority.trusting(place.stolen))
    reasons = [line["reason"] for line in server.log_lines() if line["message"] == "a TLS handshake failed"]
    assert "certificate revoked" in reasons
    assert all(served(server, place.authority.trusting(place.mine)) for _ in range(12))


def test_a_certificate_that_comes_onto_the_list_is_refused_by_every_worker_while_others_are_served(
    server: RunningServer, place: Place
) -> None:
    leaked = place.authority.client("leaked")
    context = place.authority.trusting(leaked)
    assert served(server, context)
    place.revoke(place.stolen, leaked)
    wait_until(lambda: is_served_nowhere(server, context), what="refusal by all workers")
    assert server.get("/version").status == 200


def test_a_session_from_before_the_revocation_opens_nothing(server: RunningServer, place: Place) -> None:
    lent = place.authority.client("lent")
    context = place.authority.trusting(lent)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose session is there as soon as the handshake is over
    session = served(server, context)
    assert session is not None
    assert served(server, context, session)
    place.revoke(place.stolen, lent)
    wait_until(lambda: is_served_nowhere(server, context), what="refusal by all workers")
    assert not any(served(server, context, session) for _ in range(12))


def test_a_list_that_does_not_serve_changes_nothing_and_is_logged(server: RunningServer, place: Place) -> None:
    place.revoke(place.stolen)
    place.revocations.write_bytes(place.authority.revocations(days=-1))

    def said() -> bool:
        return any("the newest of this authority" in line["message"] for line in server.log_lines())

    wait_until(said, what="a line in the log")
    assert is_served_nowhere(server, place.authority.trusting(place.stolen))
    assert server.get("/version").status == 200


def test_when_the_list_ends_is_a_metric(server: RunningServer, place: Place) -> None:
    place.revoke(place.stolen)
    wait_until(lambda: server.metric(METRIC, port=str(server.port)), what="the metric")

"""Whose address counts: forged forwarding headers buy nobody a fresh quota and put nobody else's name on the bill."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from support.application import Application

PREDICT = "/v1/models/iris/predict"
PEER, PROXY = "203.0.113.9", "10.0.0.1"
FORGED = [
    "X-Forwarded-For",
    "X-Real-Ip",
    "X-Client-Ip",
    "True-Client-Ip",
    "Cf-Connecting-Ip",
    "Forwarded",
    "X-Cluster-Client-Ip",
    "X-Originating-Ip",
]


def opened(prepared_home: Path, tmp_path: Path, trusted: list[str]) -> Application:
    home = Path(shutil.copytree(prepared_home, tmp_path / "home"))
    few = {"failed_authentications": "3/hour", "address": "3/hour", "token_address": "3/hour"}
    return Application(home, quotas=few, server={"trusted_proxies": trusted})


@pytest.fixture
def alone(prepared_home: Path, tmp_path: Path) -> Iterator[Application]:
    """Nobody's word is believed, as in the defaults."""
    with opened(prepared_home, tmp_path, []) as application:
        yield application


@pytest.fixture
def behind_proxy(prepared_home: Path, tmp_path: Path) -> Iterator[Application]:
    """The proxies of 10.0.0.0/24 are believed."""
    with opened(prepared_home, tmp_path, ["10.0.0.0/24"]) as application:
        yield application


def status(application: Application, door: str, peer: str, **headers: str) -> int:
    lane = application.house.lane
    assert lane is not None
    client = Client(lane if door == "lane" else lane.behind)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(PREDICT, data=b"{}", headers=sent, environ_overrides={"REMOTE_ADDR": peer}).status_code


@pytest.mark.parametrize("door", ["lane", "Flask"])
@pytest.mark.parametrize("header", FORGED)
def test_no_header_moves_a_caller_to_another_address(alone: Application, door: str, header: str) -> None:
    sent = [{header: f"198.51.100.{number}"} for number in range(5)]
    assert [status(alone, door, PEER, **headers) for headers in sent] == [401, 401, 401, 429, 429]
    assert status(alone, door, "203.0.113.10") == 401


@pytest.mark.parametrize("door", ["lane", "Flask"])
def test_what_a_client_claims_in_front_of_a_trusted_proxy_is_not_believed(behind_proxy: Application, door: str) -> None:
    claims = [f"198.51.100.{number}, {PEER}" for number in range(5)]
    assert [status(behind_proxy, door, PROXY, X_Forwarded_For=claim) for claim in claims] == [401, 401, 401, 429, 429]
    assert status(behind_proxy, door, PROXY, X_Forwarded_For="203.0.113.10") == 401


@pytest.mark.parametrize("door", ["lane", "Flask"])
def test_who_is_no_proxy_speaks_for_nobody(behind_proxy: Application, door: str) -> None:
    for number in range(3):
        assert status(behind_proxy, door, PEER, X_Forwarded_For=f"10.0.0.{number}") == 401
    assert status(behind_proxy, door, PEER, X_Forwarded_For="198.51.100.1") == 429


@pytest.mark.parametrize("door", ["lane", "Flask"])
@pytest.mark.parametrize(
    "nonsense", ["unknown", "_hidden", "10.0.0.300", "::ffff:10.0.0.1", "10.0.0.1, ", ", ,", "\xff", "1" * 4000, "%00"]
)
def test_nonsense_from_a_proxy_counts_against_the_proxy(behind_proxy: Application, door: str, nonsense: str) -> None:
    """Fails closed: what cannot be read is the same caller each time."""
    claims = [nonsense] * 4
    assert [status(behind_proxy, door, PROXY, X_Forwarded_For=claim) for claim in claims] == [401, 401, 401, 429]


@pytest.mark.parametrize("door", ["lane", "Flask"])
def test_addresses_of_one_ipv6_network_and_of_mapped_ipv4_are_one_caller(behind_proxy: Application, door: str) -> None:
    many = [f"2001:db8:0:1::{number:x}" for number in range(1, 5)]
    assert [status(behind_proxy, door, PROXY, X_Forwarded_For=one) for one in many] == [401, 401, 401, 429]
    spellings = [PEER, f"::ffff:{PEER}", f"[::ffff:{PEER}]:4711", f"{PEER}:4711"]
    assert [status(behind_proxy, door, PROXY, X_Forwarded_For=one) for one in spellings] == [401, 401, 401, 429]


def test_no_header_moves_a_caller_of_the_token_endpoint(alone: Application) -> None:
    answers = [
        alone.client.post(
            "/oauth/token",
            data={"grant_type": "client_credentials", "client_id": f"{number:032x}", "client_secret": "x"},
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
            environ_overrides={"REMOTE_ADDR": PEER},
        )
        for number in range(4)
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


def test_guessing_a_clients_secret_here_does_not_lock_it_out_elsewhere(alone: Application) -> None:
    record, secret = alone.register("predict:iris")

    def asked(secret: str, peer: str) -> int:
        form = {"grant_type": "client_credentials", "client_id": record.client_id, "client_secret": secret}
        return alone.client.post("/oauth/token", data=form, environ_overrides={"REMOTE_ADDR": peer}).status_code

    assert [asked("wrong", PEER) for _ in range(5)] == [401, 401, 401, 429, 429]
    assert asked(secret, "203.0.113.10") == 200
    assert asked(secret, PEER) == 429

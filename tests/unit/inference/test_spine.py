"""The order of the steps is a promise: what each refusal costs, and what is given back."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest

from secure_ml_api.errors import (
    BodyTooLarge,
    InsufficientScope,
    MalformedBody,
    ModelNotFound,
    NotAcceptable,
    NotReady,
    QuotaExceeded,
    Refusal,
    SignatureMismatch,
    TokenMissing,
    TokenRefused,
    UnsupportedContent,
)
from secure_ml_api.inference.spine import GUARD, STEPS, predict
from secure_ml_api.quota.standings import Charge
from support.spine import CALLER, Rooms
from support.spine_steps import KNOWN, LET_IN, MISTAKE, refused


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


def test_a_good_call_walks_the_steps_in_their_order(rooms: Rooms) -> None:
    call = rooms.call()
    answer = predict(call, rooms.services())
    assert rooms.asked == [*KNOWN, "resolve", "read body", *LET_IN, "run"]
    assert json.loads(answer.body)["label"] == "virginica"
    assert [standing.name for standing in call.standings] == ["requests", "rows"]
    assert rooms.limiter.leases[0].released == 1


def test_every_guarded_route_begins_as_the_spine_does() -> None:
    assert STEPS[0] is GUARD[0]


def test_other_routes_cost_one_request_and_a_place(rooms: Rooms) -> None:
    visit = rooms.call()
    for step in GUARD:
        step(visit, rooms.services())
    assert rooms.asked == ["peek failed-authentications", "authenticate", "enter", "charge requests"]
    visit.leave()
    assert rooms.limiter.leases[0].released == 1


def test_quotas_are_charged_to_the_client_at_its_own_rates(rooms: Rooms) -> None:
    predict(rooms.call(b'{"instances": [[1, 2, 3, 4], [1, 2, 3, 4]]}'), rooms.services())
    assert rooms.limiter.charged == [
        ("client:caller", Charge("requests", CALLER.requests, 1)),
        ("client:caller", Charge("rows", CALLER.rows, 2)),
    ]


@pytest.mark.parametrize(
    ("refusal", "cause"), [(TokenMissing(), "token_missing"), (TokenRefused("expired"), "expired")]
)
def test_a_bad_token_costs_no_look_up_and_no_body(rooms: Rooms, refusal: Refusal, cause: str) -> None:
    rooms.authenticator.refusal = refusal
    refused(rooms, rooms.call(model_name="nothing"), type(refusal))
    assert rooms.asked == ["peek failed-authentications", "authenticate", "charge failed-authentications"]
    assert rooms.limiter.charged[0][0] == "address:192.0.2.1"
    assert rooms.counted(f'secure_ml_api_auth_failures_total{{reason="{cause}"}}') == 1
    assert rooms.audit.events == [
        {
            "event": "token.refused",
            "actor": None,
            "outcome": "refused",
            "address": "192.0.2.1",
            "request_id": "r1",
            "cause": cause,
        }
    ]


def test_an_address_that_only_guesses_causes_no_cryptography(rooms: Rooms) -> None:
    rooms.limiter.used_up = {"failed-authentications"}
    refused(rooms, rooms.call(), QuotaExceeded)
    assert rooms.asked == ["peek failed-authentications"]


def test_good_tokens_are_no_guesses(rooms: Rooms) -> None:
    predict(rooms.call(), rooms.services())
    assert "charge failed-authentications" not in rooms.asked


def test_a_quota_known_to_be_used_up_costs_no_place_no_look_up_and_no_body(rooms: Rooms) -> None:
    rooms.limiter.used_up = {"requests"}
    rooms.limiter.known = True
    refused(rooms, rooms.call(), QuotaExceeded)
    assert rooms.asked == [*KNOWN, MISTAKE]


def test_a_used_up_quota_stops_the_run(rooms: Rooms) -> None:
    rooms.limiter.used_up = {"requests"}
    refused(rooms, rooms.call(), QuotaExceeded)
    assert "run" not in rooms.asked
    assert rooms.limiter.charged == []


def test_too_many_requests_in_flight_are_refused_with_the_standing_of_the_quota(rooms: Rooms) -> None:
    rooms.limiter.used_up = {"in flight"}
    call = rooms.call()
    refused(rooms, call, QuotaExceeded)
    assert rooms.asked == [*KNOWN, "resolve", "read body", "enter", MISTAKE]
    assert [standing.name for standing in call.standings] == ["requests"]


def test_a_mistake_of_a_client_without_quota_is_refused_for_want_of_it(rooms: Rooms) -> None:
    rooms.limiter.used_up = {"requests"}
    refused(rooms, rooms.call(b"{"), QuotaExceeded)


@pytest.mark.parametrize("name", ["iris", "nothing"])
def test_without_the_scope_there_is_no_look_up_whether_or_not_the_model_exists(rooms: Rooms, name: str) -> None:
    rooms.authenticator.principal = replace(CALLER, scopes=frozenset({"models:read", "predict:other"}))
    refusal = refused(rooms, rooms.call(model_name=name), InsufficientScope)
    assert refusal.scope == f"predict:{name}"
    assert rooms.asked == [*KNOWN, MISTAKE]
    assert [(event["event"], event["actor"]) for event in rooms.audit.events] == [("scope.refused", "caller")]


@pytest.mark.parametrize("name", ['a"', "a\r\nX-Header: b", "modèle", "a b", "", "x" * 500, "predict:*"])
def test_a_name_that_no_scope_can_hold_is_not_repeated_in_the_refusal(rooms: Rooms, name: str) -> None:
    refusal = refused(rooms, rooms.call(model_name=name), InsufficientScope)
    assert refusal.scope == "predict:*"


@pytest.mark.parametrize("refusal", [ModelNotFound("none"), NotReady("loading")])
def test_no_body_is_read_for_a_model_that_does_not_serve(rooms: Rooms, refusal: Refusal) -> None:
    rooms.registry.refusal = refusal
    refused(rooms, rooms.call(), type(refusal))
    assert rooms.asked == [*KNOWN, "resolve", MISTAKE]


def test_the_scope_for_any_model_looks_up_an_unknown_one(rooms: Rooms) -> None:
    rooms.authenticator.principal = replace(CALLER, scopes=frozenset({"predict:*"}))
    refused(rooms, rooms.call(model_name="nothing"), ModelNotFound)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"accept": "text/html"}, NotAcceptable), ({"content_type": "text/plain"}, UnsupportedContent)],
)
def test_no_body_is_read_when_the_headers_already_refuse_it(
    rooms: Rooms, changes: dict[str, Any], kind: type[Refusal]
) -> None:
    refused(rooms, rooms.call(**changes), kind)
    assert "read body" not in rooms.asked


@pytest.mark.parametrize(
    ("body", "encoding", "kind"),
    [
        (b"{", "", MalformedBody),
        (b"{}", "", SignatureMismatch),
        (b"{}", "br", UnsupportedContent),
        (b"{}", "gzip", MalformedBody),
        (gzip.compress(bytes(10_001)), "gzip", BodyTooLarge),
        (b'{"instances": ' + json.dumps([[1, 2, 3, 4]] * 101).encode() + b"}", "", SignatureMismatch),
    ],
)
def test_a_body_that_does_not_fit_costs_no_rows_and_no_run(
    rooms: Rooms, body: bytes, encoding: str, kind: type[Refusal]
) -> None:
    refused(rooms, rooms.call(body, content_encoding=encoding), kind)
    assert rooms.asked[-2:] == ["read body", MISTAKE]


def test_rows_are_charged_before_the_run_and_a_used_up_quota_stops_it(rooms: Rooms) -> None:
    rooms.limiter.used_up = {"rows"}
    call = rooms.call()
    refused(rooms, call, QuotaExceeded)
    assert rooms.asked[-3:] == [*LET_IN, MISTAKE]
    assert [charge.name for _, charge in rooms.limiter.charged] == ["requests"]
    assert [standing.name for standing in call.standings] == ["requests"]


def test_what_the_door_raises_while_reading_holds_no_place(rooms: Rooms) -> None:
    def vanish() -> bytes:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        predict(rooms.call(read_body=vanish), rooms.services())
    assert rooms.limiter.leases == []

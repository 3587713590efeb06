"""Every refusal has its status, its headers and a body that a program can read."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from secure_ml_api import errors
from secure_ml_api.api.problems import STATUSES, TITLES, http_answer, refusal_answer
from secure_ml_api.errors import Misfit, Refusal
from secure_ml_api.quota.standings import Standing

# By the contract's table of errors.
EXPECTED: dict[int, list[Refusal]] = {
    400: [errors.MalformedBody("x"), errors.MalformedHeader("x")],
    401: [errors.TokenMissing(), errors.TokenRefused("expired")],
    403: [errors.InsufficientScope("predict:iris")],
    404: [errors.ModelNotFound("x"), errors.SubjectNotFound("x")],
    406: [errors.NotAcceptable("x")],
    408: [errors.BodyTooSlow("x")],
    413: [errors.BodyTooLarge("x")],
    415: [errors.UnsupportedContent("x", ("application/json",))],
    422: [errors.SignatureMismatch("x", [Misfit("y", row=3, feature="z"), Misfit("w")])],
    429: [errors.QuotaExceeded("x", 7, standings=[Standing("requests", 10, 60, 0, 7)])],
    500: [errors.InferenceFailed()],
    503: [errors.Overloaded("x"), errors.NotReady("x"), errors.StorageUnavailable("x")],
    504: [errors.DeadlineExceeded("x")],
}
REFUSALS = [refusal for refusals in EXPECTED.values() for refusal in refusals]


def leaves(kind: type[Refusal]) -> set[type[Refusal]]:
    """The classes under ``kind`` that have none under them."""
    return set().union(*map(leaves, kind.__subclasses__())) or {kind}


def body_of(refusal: Refusal, *, oip: bool = False) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(refusal_answer(refusal, "r1", oip=oip).body)
    return body


def test_every_leaf_of_the_tree_is_mapped_and_nothing_else() -> None:
    assert set(STATUSES) == leaves(Refusal)


def test_every_leaf_is_tried_here() -> None:
    assert {type(refusal) for refusal in REFUSALS} == leaves(Refusal)


@pytest.mark.parametrize(("status", "refusal"), [(status, r) for status, found in EXPECTED.items() for r in found])
def test_each_refusal_has_the_status_of_the_contract(status: int, refusal: Refusal) -> None:
    answer = refusal_answer(refusal, "r1", oip=False)
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    body = json.loads(answer.body)
    assert body.keys() - {"errors"} == {"type", "title", "status", "detail", "request_id"}
    assert (body["status"], body["request_id"], body["detail"]) == (status, "r1", refusal.detail)
    assert body["type"].endswith(refusal.reason)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: type(refusal).__name__)
def test_the_open_inference_protocol_gets_its_error_and_plain_json(refusal: Refusal) -> None:
    answer = refusal_answer(refusal, "r1", oip=True)
    assert answer.content_type == "application/json"
    body = json.loads(answer.body)
    assert body["error"] == refusal.detail
    assert body.keys() > body_of(refusal).keys()


def test_misfits_are_listed_without_empty_members() -> None:
    assert body_of(EXPECTED[422][0])["errors"] == [{"row": 3, "feature": "z", "detail": "y"}, {"detail": "w"}]


def test_a_misfit_in_row_zero_says_so() -> None:
    assert body_of(errors.SignatureMismatch("x", [Misfit("y", row=0)]))["errors"] == [{"row": 0, "detail": "y"}]


@pytest.mark.parametrize(
    ("refusal", "headers"),
    [
        (errors.TokenMissing(), {"WWW-Authenticate": "Bearer"}),
        (errors.TokenRefused("expired"), {"WWW-Authenticate": 'Bearer error="invalid_token"'}),
        (
            errors.InsufficientScope("predict:iris"),
            {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="predict:iris"'},
        ),
        (errors.UnsupportedContent("x", ("application/json",)), {"Accept": "application/json"}),
        (errors.UnsupportedContent("x", ("gzip", "deflate")), {"Accept-Encoding": "gzip, deflate"}),
        (
            errors.QuotaExceeded("x", 7, standings=[Standing("requests", 10, 60, 0, 7)]),
            {"Retry-After": "7", "RateLimit-Policy": '"requests";q=10;w=60', "RateLimit": '"requests";r=0;t=7'},
        ),
        (errors.QuotaExceeded("x", 1), {"Retry-After": "1"}),
        (errors.Overloaded("x", 3), {"Retry-After": "3"}),
        (errors.NotReady("x"), {"Retry-After": "1"}),
        (errors.StorageUnavailable("x"), {"Retry-After": "1"}),
        (errors.ModelNotFound("x"), {}),
        (errors.MalformedBody("x"), {}),
        (errors.DeadlineExceeded("x"), {}),
    ],
)
def test_each_refusal_has_the_headers_that_go_with_it(refusal: Refusal, headers: dict[str, str]) -> None:
    for oip in (False, True):
        assert dict(refusal_answer(refusal, "r1", oip=oip).headers) == headers


def test_the_cause_of_a_refused_token_is_not_told() -> None:
    answers = {refusal_answer(errors.TokenRefused(cause), "r1", oip=False) for cause in ("expired", "revoked")}
    assert len(answers) == 1


@pytest.mark.parametrize("status", [400, 404, 405, 408, 413, 414, 415, 431, 500, 418, 501, 505])
@pytest.mark.parametrize("oip", [False, True])
def test_what_http_refuses_has_the_same_form(status: int, oip: bool) -> None:
    answer = http_answer(status, "r1", oip=oip, headers=(("Allow", "GET"),))
    body = json.loads(answer.body)
    assert (answer.status, body["status"], body["request_id"]) == (status, status, "r1")
    assert (body.get("error") == body["detail"]) is oip
    assert answer.headers == (("Allow", "GET"),)


def test_no_two_errors_share_a_type_by_accident() -> None:
    reasons = {kind.reason for kind in STATUSES}
    shared = reasons & {reason for reason, _, _ in TITLES.values()}
    assert shared == {"body_too_large", "unsupported_content"}


def test_the_table_knows_no_base_class() -> None:
    assert not [kind for kind in STATUSES if inspect.isabstract(kind) or kind.__subclasses__()]

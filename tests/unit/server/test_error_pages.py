"""The answers that the server gives without the application are those that the documentation lists."""

from __future__ import annotations

import json

import pytest

from secure_ml_api.server.error_pages import error_answer, overloaded_answer, problem_of
from support.problems import assert_is_listed

ID = "0" * 32


@pytest.mark.parametrize("under_v2", [False, True])
@pytest.mark.parametrize("status", [400, 404, 405, 408, 411, 413, 414, 417, 431, 500, 501, 503, 504, 505])
def test_every_refusal_of_the_server_is_one_that_the_documentation_lists(status: int, under_v2: bool) -> None:
    head, _, body = error_answer(problem_of(status), ID, under_v2=under_v2).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    fields = json.loads(body)
    assert_is_listed(fields)
    assert fields.get("error") == (fields["detail"] if under_v2 else None)


def test_a_worker_without_room_says_so_as_the_application_does() -> None:
    assert_is_listed(json.loads(overloaded_answer(ID, 1).partition(b"\r\n\r\n")[2]))


def test_who_is_slow_with_the_body_is_told_that_it_is_the_body() -> None:
    assert (problem_of(408).reason, problem_of(408, has_head=True).reason) == ("too_slow", "body_too_slow")
    assert problem_of(400, has_head=True) == problem_of(400)

"""Every documented refusal over HTTP: its status, its form, its headers, and that none of it is ever a 500."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from support.application import Application
from support.bodies import GOOD, MALFORMED, OIP, ROWS, TENSORFLOW, UNFIT_ROWS, UNFIT_TENSORFLOW, UNFIT_TENSORS, tensor


def send(application: Application, path: str, body: bytes, **headers: str) -> TestResponse:
    known = {"Content-Type": "application/json", **application.headers(), **headers}
    return application.client.post(path, data=body, headers={k.replace("_", "-"): v for k, v in known.items()})


def check(answer: TestResponse, status: int) -> dict[str, Any]:
    """The problem in ``answer``, which has ``status`` and the form that its route documents."""
    assert answer.status_code == status, answer.get_data()
    problem: dict[str, Any] = json.loads(answer.get_data())
    assert problem["status"] == status
    assert {"type", "title", "detail", "request_id"} <= problem.keys()
    assert answer.headers["X-Request-Id"] == problem["request_id"]
    assert "Server" not in answer.headers
    oip = answer.request.path.startswith("/v2")
    assert answer.headers["Content-Type"] == ("application/json" if oip else "application/problem+json")
    assert ("error" in problem) is oip
    return problem


@pytest.mark.parametrize("path", [ROWS, TENSORFLOW, OIP])
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_body_that_is_not_json_gets_400(application: Application, path: str, body: bytes) -> None:
    check(send(application, path, body), 400)


@pytest.mark.parametrize("body", UNFIT_ROWS.values(), ids=UNFIT_ROWS.keys())
def test_rows_that_do_not_fit_the_model_get_422(application: Application, body: bytes) -> None:
    check(send(application, ROWS, body), 422)


@pytest.mark.parametrize("body", UNFIT_TENSORS.values(), ids=UNFIT_TENSORS.keys())
def test_tensors_that_do_not_fit_the_model_get_422(application: Application, body: bytes) -> None:
    check(send(application, OIP, body), 422)


@pytest.mark.parametrize("body", UNFIT_TENSORFLOW.values(), ids=UNFIT_TENSORFLOW.keys())
def test_tensorflow_requests_that_do_not_fit_the_model_get_422(application: Application, body: bytes) -> None:
    check(send(application, TENSORFLOW, body), 422)


def test_what_the_caller_sent_is_never_repeated(application: Application) -> None:
    for body in (b'{"sesame": 1}', b'{"features": {"sesame": 1}}', b'{"features": "sesame"}', b"sesame"):
        assert b"sesame" not in send(application, ROWS, body).get_data()
    assert b"sesame" not in send(application, OIP, tensor(name="sesame")).get_data()


def test_a_form_is_not_json(application: Application) -> None:
    answer = send(application, ROWS, GOOD, Content_Type="application/x-www-form-urlencoded")
    check(answer, 415)
    assert answer.headers["Accept"] == "application/json, text/csv, application/vnd.apache.arrow.stream"


def test_json_in_another_charset_is_not_read(application: Application) -> None:
    check(send(application, ROWS, GOOD, Content_Type="application/json; charset=latin-1"), 415)


def test_a_caller_that_takes_no_json_gets_406(application: Application) -> None:
    check(send(application, ROWS, GOOD, Accept="text/html, application/json;q=0"), 406)


def test_an_unknown_compression_is_told_the_known_ones(application: Application) -> None:
    answer = send(application, ROWS, GOOD, Content_Encoding="br")
    check(answer, 415)
    assert answer.headers["Accept-Encoding"] == "gzip, deflate"


def test_a_compressed_body_is_read(application: Application) -> None:
    assert send(application, ROWS, gzip.compress(GOOD), Content_Encoding="gzip").status_code == 200


def test_a_compressed_body_that_unpacks_past_the_limit_gets_413(application: Application) -> None:
    bomb = gzip.compress(b" " * (application.settings.server.body_limit_bytes + 1))
    check(send(application, ROWS, bomb, Content_Encoding="gzip"), 413)


@pytest.mark.parametrize("more_bytes", [1, 100_000])
def test_a_body_without_a_length_that_goes_past_the_limit_is_refused_and_not_cut(
    application: Application, more_bytes: int
) -> None:
    """The first rows of a table would be answered as if they were all, and the last of them cut in a number."""
    body = b'{"features": [5.1, 3.5, 1.4, 0.2]}'.ljust(application.settings.server.body_limit_bytes + more_bytes)
    chunks = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True, "CONTENT_TYPE": "application/json"}
    check(application.client.post(ROWS, headers=application.headers(), environ_overrides=chunks), 413)


def test_a_body_past_the_limit_gets_413(application: Application) -> None:
    check(send(application, ROWS, b" " * (application.settings.server.body_limit_bytes + 1)), 413)


@pytest.mark.parametrize("path", ["/nothing", "/v2/nothing", "/v1/models", "/v1/models/iris/predict/more", "//v2"])
def test_an_address_that_leads_nowhere_gets_404(application: Application, path: str) -> None:
    check(application.client.get(path), 404)


def test_an_unknown_model_gets_404_for_callers_who_may_ask(application: Application) -> None:
    for path in ("/v1/models/other/predict", "/v1/models/other:predict", "/v2/models/other/infer"):
        check(send(application, path, GOOD), 404)
    check(send(application, "/v1/models/iris/versions/9/predict", GOOD), 404)


def test_an_unknown_model_gets_403_for_callers_who_may_not_ask(application: Application) -> None:
    for model in ("outliers", "nothing-of-the-kind"):
        answer = application.client.post(
            f"/v1/models/{model}/predict", data=GOOD, headers=application.headers("predict:iris")
        )
        assert check(answer, 403)["detail"] == f"this request needs the scope predict:{model}"
        challenge = f'Bearer error="insufficient_scope", scope="predict:{model}"'
        assert answer.headers["WWW-Authenticate"] == challenge


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_another_method_gets_405_with_the_right_one(application: Application, method: str) -> None:
    answer = application.client.open(ROWS, method=method, headers=application.headers())
    check(answer, 405)
    assert answer.headers["Allow"] == "POST"


def test_a_method_override_changes_nothing(application: Application) -> None:
    answer = application.client.get(ROWS, headers={**application.headers(), "X-HTTP-Method-Override": "POST"})
    check(answer, 405)


def test_no_token_gets_401_without_an_error_word(application: Application) -> None:
    answer = application.client.post(ROWS, data=GOOD)
    check(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_bad_tokens_get_one_answer_for_every_cause(application: Application) -> None:
    token = application.token("predict:*")
    bad = ["x", "x.y.z", token[:-4] + "AAAA", token + "=", f"{token} {token}", "é"]
    answers = [application.client.post(ROWS, headers={"Authorization": f"Bearer {text}"}) for text in bad]
    bodies = {json.dumps({**check(answer, 401), "request_id": ""}) for answer in answers}
    assert len(bodies) == 1
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer error="invalid_token"'}


def test_a_token_in_the_address_is_no_token(application: Application) -> None:
    check(application.client.post(f"{ROWS}?access_token={application.token('predict:*')}", data=GOOD), 401)


def test_every_answer_forbids_sniffing_framing_and_caching(application: Application) -> None:
    for answer in (application.client.get("/v2/health/live"), application.client.get("/nothing")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_request_id_is_kept_when_it_is_harmless_and_replaced_when_not(application: Application) -> None:
    kept = application.client.get("/v2/health/live", headers={"X-Request-Id": "a-1.b_2"})
    assert kept.headers["X-Request-Id"] == "a-1.b_2"
    replaced = application.client.get("/v2/health/live", headers={"X-Request-Id": "a b<script>"})
    assert replaced.headers["X-Request-Id"] != "a b<script>"

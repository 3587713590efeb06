"""Traced or not: what a request leaves behind through either door, and that what is off is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from conftest import copied
from secure_ml_api.app import create_app, house_of
from secure_ml_api.errors import SettingsError
from secure_ml_api.inference.runner import Runner
from secure_ml_api.inference.spine import GUARD, STEPS
from secure_ml_api.settings import read_settings
from secure_ml_api.telemetry import logs, opening
from support.application import Application
from support.tracing import TracedApplication

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
NOT_SAMPLED = f"00-{TRACE}-{SPAN}-00"
PREDICT = "/v1/models/{name}/predict"
ROW = {"features": [5.125, 3.5, 1.375, 0.25]}
STEP_NAMES = [step.__name__ for step in STEPS]


@pytest.fixture(scope="module", params=["fast lane", "Flask"])
def traced(
    request: pytest.FixtureRequest, prepared_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TracedApplication]:
    home = copied(prepared_home, tmp_path_factory.mktemp("traced"))
    with TracedApplication(home, fast_lane={"enabled": request.param == "fast lane"}) as application:
        application.headers()  # the token is asked for before the spans are looked at
        application.spans()
        yield application


def ask(application: Application, payload: object = ROW, model: str = "iris", **headers: str) -> Any:
    sent = {**application.headers(), **headers}
    return application.client.post(f"/v1/models/{model}/predict", json=payload, headers=sent)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def test_every_step_has_a_span_under_the_requests(traced: TracedApplication) -> None:
    assert ask(traced).status_code == 200
    spans = traced.spans()
    request = spans[f"POST {PREDICT}"]
    assert list(spans) == [name for step in STEP_NAMES for name in (("infer", step) if step == "run" else (step,))] + [
        request.name
    ]
    assert {parent_of(spans[name]) for name in STEP_NAMES} == {request.context.span_id}
    assert parent_of(spans["infer"]) == spans["run"].context.span_id
    assert request.kind is SpanKind.SERVER
    assert request.parent is None


def test_the_requests_span_says_who_asked_for_what(traced: TracedApplication) -> None:
    answer = ask(traced)
    said = attributes(traced.spans()[f"POST {PREDICT}"])
    assert said.pop("secure_ml_api.client_id")
    assert said == {
        "http.request.method": "POST",
        "http.route": PREDICT,
        "http.response.status_code": 200,
        "secure_ml_api.model.name": "iris",
        "secure_ml_api.model.version": "1",
        "secure_ml_api.rows": 1,
        "secure_ml_api.request_id": answer.headers["X-Request-Id"],
    }


def test_a_refusal_is_told_by_its_reason_at_the_step_that_refused(traced: TracedApplication) -> None:
    assert ask(traced, {"features": [1]}).status_code == 422
    spans = traced.spans()
    assert attributes(spans["decode"]) == {"error.type": "signature_mismatch"}
    assert spans["decode"].status.status_code is StatusCode.ERROR
    assert "run" not in spans
    request = spans[f"POST {PREDICT}"]
    assert attributes(request)["http.response.status_code"] == 422
    assert request.status.status_code is StatusCode.UNSET


def test_a_callers_trace_goes_on_and_is_answered(traced: TracedApplication) -> None:
    answer = ask(traced, traceparent=SAMPLED, tracestate="rojo=1")
    request = traced.spans()[f"POST {PREDICT}"]
    assert f"{request.context.trace_id:032x}" == TRACE
    assert parent_of(request) == int(SPAN, 16)
    assert request.context.trace_state.get("rojo") == "1"
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{request.context.span_id:016x}-01"


def test_what_the_caller_does_not_record_is_not_recorded_here(traced: TracedApplication) -> None:
    answer = ask(traced, traceparent=NOT_SAMPLED)
    assert answer.status_code == 200
    assert not traced.spans()
    assert answer.headers["traceresponse"].startswith(f"00-{TRACE}-")
    assert answer.headers["traceresponse"].endswith("-00")


@pytest.mark.parametrize("header", [SAMPLED + "-", "0" * 8000, f"{SAMPLED},{SAMPLED}", "00-\u00e9-%00-{}"])
def test_a_malformed_traceparent_begins_a_trace_of_our_own(traced: TracedApplication, header: str) -> None:
    assert ask(traced, traceparent=header, tracestate="=" * 9000).status_code == 200
    request = traced.spans()[f"POST {PREDICT}"]
    assert request.parent is None
    assert f"{request.context.trace_id:032x}" != TRACE


def test_nothing_secret_and_nothing_that_was_asked_is_in_a_span(traced: TracedApplication) -> None:
    record, secret = traced.register("predict:*")
    form = {"grant_type": "client_credentials", "client_id": record.client_id, "client_secret": secret}
    token = traced.client.post("/oauth/token", data=form).get_json()["access_token"]
    ask(traced, Authorization=f"Bearer {token}")
    ask(traced, {"features": ["a-word-of-the-caller"]}, Authorization=f"Bearer {token}")
    ask(traced, Authorization=f"Bearer {token}broken")
    ended = traced.memory.get_finished_spans()
    # Not the whole span: a time of day may hold the digits of a feature.
    told = repr([(span.name, dict(span.attributes or {}), span.status.description, span.events) for span in ended])
    assert record.client_id in told
    assert len(ended) > 20
    for hidden in (secret, token, token.split(".")[2], "a-word-of-the-caller", "5.125", "1.375", "setosa"):
        assert hidden not in told, hidden


def test_other_routes_are_traced_and_health_checks_are_not(traced: TracedApplication) -> None:
    traced.spans()
    assert traced.client.get("/v2/models/iris", headers=traced.headers()).status_code == 200
    spans = traced.spans()
    assert list(spans) == ["authenticate", "limit", "GET /v2/models/{name}"]
    assert traced.client.get("/v2/health/ready").status_code == 200
    assert traced.client.open("/a-secret-path", method="BREW").status_code == 404
    spans = traced.spans()
    assert list(spans) == ["HTTP"]
    assert "a-secret-path" not in spans["HTTP"].to_json()


def test_log_lines_name_the_trace(traced: TracedApplication, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "_access_enabled", True)
        patch.setattr(logs, "_traced", True)
        ask(traced, traceparent=SAMPLED)
    line = json.loads(capfd.readouterr().err.splitlines()[-1])
    assert (line["message"], line["trace_id"]) == ("request", TRACE)


def test_a_line_that_is_written_after_the_answer_names_the_trace_too(
    traced: TracedApplication, capfd: pytest.CaptureFixture[str]
) -> None:
    left_to_do: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "_access_enabled", True)
        patch.setattr(logs, "_traced", True)
        traced.client.post(
            "/v1/models/iris/predict",
            json=ROW,
            headers={**traced.headers(), "traceparent": SAMPLED},
            environ_overrides={"secure_ml_api.afterwards": left_to_do.append},
        )
        for task in left_to_do:
            task()
    assert json.loads(capfd.readouterr().err.splitlines()[-1])["trace_id"] == TRACE


def test_merged_callers_share_a_span_that_all_are_linked_with(home: Path) -> None:
    batching = {"enabled": "always", "max_delay_seconds": 5.0, "max_batch_rows": 2}
    with TracedApplication(home, batching=batching, inference={"max_concurrent_runs": 1}) as application:
        application.headers()
        model = application.house.services.registry.resolve("iris", None)
        application.house.services.runner.batching.distrust(model)  # or it would run where it is asked for
        together = Barrier(2)

        def caller() -> None:
            together.wait(30)
            assert ask(application).status_code == 200

        callers = [Thread(target=caller) for _ in range(2)]
        for thread in callers:
            thread.start()
        for thread in callers:
            thread.join(30)
        ended = application.memory.get_finished_spans()
    (shared,) = [span for span in ended if span.name == "infer together"]
    runs = [span for span in ended if span.name == "run"]
    assert attributes(shared) == {
        "secure_ml_api.rows": 2,
        "secure_ml_api.callers": 2,
        "secure_ml_api.succeeded": True,
    }
    assert {link.context.span_id for link in shared.links} == {run.context.span_id for run in runs}
    assert len({run.context.trace_id for run in runs}) == 2
    for run in runs:
        assert [link.context.span_id for link in run.links] == [shared.context.span_id]
        assert sum(span.name == "wait" and parent_of(span) == run.context.span_id for span in ended) == 1


def test_callers_who_are_not_trusted_get_a_trace_of_our_own_with_a_link_to_theirs(home: Path) -> None:
    with TracedApplication(home, telemetry={"trace_callers": "link"}) as application:
        ask(application, traceparent=SAMPLED)
        request = application.spans()[f"POST {PREDICT}"]
    assert f"{request.context.trace_id:032x}" != TRACE
    assert [f"{link.context.trace_id:032x}" for link in request.links] == [TRACE]


def test_callers_who_are_not_trusted_do_not_decide_what_is_recorded(home: Path) -> None:
    with TracedApplication(home, telemetry={"trace_callers": "link", "trace_sample_ratio": 0.0}) as application:
        assert ask(application, traceparent=SAMPLED).status_code == 200
        assert not application.spans()


def test_off_the_application_is_made_of_the_very_same_parts(application: Application) -> None:
    house = application.house
    assert house.services.steps is STEPS
    assert house.services.guard is GUARD
    assert type(house.services.runner) is Runner
    assert application.app.wsgi_app is house.lane
    assert house.tracing is None
    assert "traceresponse" not in ask(application, traceparent=SAMPLED).headers


def test_off_nothing_of_opentelemetry_is_imported(home: Path) -> None:
    made = (
        "import sys; from pathlib import Path; from secure_ml_api.app import create_app;"
        "from secure_ml_api.settings import read_settings; create_app(read_settings(Path(sys.argv[1]), {}));"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", made, str(home)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_on_without_the_extra_the_operator_is_told_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_NEEDED", ("opentelemetry_that_is_not_there.sdk",))
    with pytest.raises(SettingsError, match=r'^telemetry\.tracing: .* pip install "secure-ml-api\[otel\]"$'):
        create_app(read_settings(home, {}, telemetry={"tracing": True}))


def test_spans_before_a_worker_starts_are_nobodys(home: Path) -> None:
    """The master has no thread that would export them, and a fork would copy it broken."""
    app = create_app(read_settings(home, {}, telemetry={"tracing": True}))
    try:
        answer = app.test_client().get("/v2")
        assert answer.status_code == 200
        assert "traceresponse" not in answer.headers
    finally:
        house_of(app).stop()
        house_of(app).stores.database.close()

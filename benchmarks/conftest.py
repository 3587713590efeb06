"""A whole application with two small models, and requests that have come as far as the step that is measured."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from werkzeug.test import EnvironBuilder

from secure_ml_api.cli.init import prepare
from secure_ml_api.inference.call import Call
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.services import Services
from secure_ml_api.inference.spine import STEPS
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.pack import pack_estimator
from secure_ml_api.packaging.table import Table
from secure_ml_api.settings import read_settings
from secure_ml_api.telemetry.logs import configure_logging
from secure_ml_api.wire.oip import OIP
from secure_ml_api.wire.question import Dialect
from secure_ml_api.wire.rows import ROWS
from support.application import Application

_DAY_SECONDS = 86_400.0
_PLENTY = "999999999/minute"

Environ = dict[str, Any]


@dataclass(frozen=True)
class Payload:
    """What one kind of request carries; ``path`` is where it goes."""

    model: str
    path: str
    dialect: Dialect
    body: bytes
    headers: dict[str, str]


def _payloads() -> dict[str, Payload]:
    from sklearn.datasets import load_breast_cancer

    wide = np.resize(load_breast_cancer().data, (1000, 30)).astype("<f4")
    json_type = {"Content-Type": "application/json"}
    row = json.dumps({"features": [6.7, 3.0, 5.2, 2.3]}).encode()
    rows = json.dumps({"instances": [[float(f"{value:.6g}") for value in row] for row in wide]}).encode()
    tensor = {"name": "input", "datatype": "FP32", "shape": [1000, 30], "parameters": {"binary_data_size": wide.nbytes}}
    outputs = [{"name": "label", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    return {
        "1 row": Payload("tree", "/v1/models/tree/predict", ROWS, row, json_type),
        "1000 x 30 JSON": Payload("wide", "/v1/models/wide/predict", ROWS, rows, json_type),
        "1000 x 30 binary": Payload("wide", "/v2/models/wide/infer", OIP, head + wide.tobytes(), length),
    }


class Bench:
    """The application in this process, asked by one client with quotas that it never reaches."""

    def __init__(self, application: Application, home: Path) -> None:
        self.application = application
        self.home = home
        self.payloads = _payloads()
        options = {"requests": _PLENTY, "rows": "999999999999/minute", "concurrency": 1000}
        self.token = application.token("predict:*", **options)

    @property
    def services(self) -> Services:
        return self.application.house.services

    def call(self, kind: str, before: str = "") -> Call:
        """A request that has passed the steps ``before`` the one of that name, or none."""
        payload = self.payloads[kind]
        call = Call(
            authorization=f"Bearer {self.token}",
            address="127.0.0.1",
            request_id="benchmark",
            model_name=payload.model,
            version=None,
            dialect=payload.dialect,
            read_body=lambda: payload.body,
            content_type=payload.headers.get("Content-Type", ""),
            content_encoding="",
            accept="",
            accept_encoding="",
            inference_header_length=payload.headers.get("Inference-Header-Content-Length", ""),
            deadline=Deadline.after(_DAY_SECONDS),
        )
        for step in STEPS:
            if not before or step.__name__ == before:
                break
            step(call, self.services)
        call.leave()
        return call

    def asker(self, app: Callable[..., Any], kind: str) -> Callable[[], int]:
        """A function that sends the request of ``kind`` through a WSGI application and returns the answer's status."""
        payload = self.payloads[kind]
        headers = {"Authorization": f"Bearer {self.token}", **payload.headers}
        environ: Environ = EnvironBuilder(path=payload.path, method="POST", headers=[*headers.items()]).get_environ()
        environ |= {"CONTENT_LENGTH": str(len(payload.body)), "REMOTE_ADDR": "127.0.0.1"}

        def ask() -> int:
            statuses: list[str] = []
            body = app({**environ, "wsgi.input": io.BytesIO(payload.body)}, lambda status, _: statuses.append(status))
            b"".join(body)
            getattr(body, "close", lambda: None)()
            return int(statuses[0].split()[0])

        return ask


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The application with the models ``tree`` (4 columns) and ``wide`` (30), its log written as when it serves."""
    home = tmp_path_factory.mktemp("bench") / "home"
    settings = read_settings(home, {})
    prepare(settings, examples=False)
    _pack(Store.of(settings))
    configure_logging(settings.telemetry)
    with Application(home, tokens={"lifetime_seconds": int(_DAY_SECONDS)}) as application:
        yield Bench(application, home)


@pytest.fixture
def traced(bench: Bench, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Another, that records so many of its requests as the parameter says, None for no tracing; spans are nobody's."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nobody(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

    home = Path(shutil.copytree(bench.home, tmp_path / "home", ignore=shutil.ignore_patterns("run")))
    telemetry = {"tracing": request.param is not None, "trace_sample_ratio": request.param or 0.0}
    application = Application(home, telemetry=telemetry, tokens={"lifetime_seconds": int(_DAY_SECONDS)})
    if application.house.tracing is not None:
        application.house.tracing.processor = lambda _: BatchSpanProcessor(Nobody())
    configure_logging(application.settings.telemetry)
    with application:
        yield Bench(application, home)
    configure_logging(bench.application.settings.telemetry)


def _pack(store: Store) -> None:
    from sklearn.datasets import load_breast_cancer, load_iris
    from sklearn.tree import DecisionTreeClassifier

    for name, data in (("tree", load_iris()), ("wide", load_breast_cancer())):
        estimator = DecisionTreeClassifier(random_state=42).fit(data.data, data.target)
        names = [str(feature) for feature in data.feature_names]
        pack_estimator(estimator, Table.of_matrix(data.data, names), store=store, name=name)

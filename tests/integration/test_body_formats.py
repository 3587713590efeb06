"""Binary tensors, CSV, Arrow and compression through the whole application, runtimes included."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from werkzeug.test import TestResponse

from support.application import Application

ARROW = "application/vnd.apache.arrow.stream"
NAMES = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=np.float32)
LENGTH = "Inference-Header-Content-Length"


def post(application: Application, path: str, body: bytes, **headers: str) -> TestResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return application.client.post(path, data=body, headers={**application.headers(), **sent})


def infer(application: Application, head: dict[str, Any], tail: bytes, **headers: str) -> TestResponse:
    text = json.dumps(head).encode()
    length = {LENGTH.replace("-", "_"): str(len(text))}
    return post(application, "/v2/models/iris/infer", text + tail, **{**length, **headers})


def flowers(rows: np.ndarray[Any, Any] = FLOWERS, **more: Any) -> dict[str, Any]:
    tensor = {"name": "input", "shape": list(rows.shape), "datatype": "FP32"}
    return {"inputs": [{**tensor, "parameters": {"binary_data_size": rows.nbytes}}], **more}


def tensors_of(answer: TestResponse) -> dict[str, np.ndarray[Any, Any]]:
    """The binary outputs of ``answer``, each taken from where the one before it ends."""
    body = answer.get_data()
    at = int(answer.headers[LENGTH])
    found = {}
    for output in json.loads(body[:at])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        dtype = {"INT64": "<i8", "FP32": "<f4", "FP64": "<f8"}[output["datatype"]]
        found[output["name"]] = np.frombuffer(body[at : at + size], dtype=dtype).reshape(output["shape"])
        at += size
    assert at == len(body)
    return found


@pytest.mark.parametrize("padding", range(4))
def test_binary_tensors_give_what_json_gives(application: Application, padding: int) -> None:
    """Whatever the alignment of the tensor in the body: runtimes take the read-only arrays that share its memory."""
    head = flowers(id="x" * padding, parameters={"binary_data_output": True})
    answer = infer(application, head, FLOWERS.tobytes())
    assert answer.status_code == 200, answer.get_data()
    assert answer.headers["Content-Type"] == "application/octet-stream"
    expected = application.predict("iris", {"instances": FLOWERS.tolist(), "outputs": ["probabilities"]}).get_json()
    found = tensors_of(answer)
    assert found["label"].tolist() == expected["predictions"] == [0, 2]
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], rtol=1e-6)


@pytest.mark.parametrize(("model", "columns"), [("iris-tree", 4), ("cancer-svm", 30), ("housing", 12), ("outliers", 5)])
def test_every_example_takes_binary_tensors(application: Application, model: str, columns: int) -> None:
    metadata = application.client.get(f"/v2/models/{model}", headers=application.headers()).get_json()
    dtype = {"FP32": np.float32, "FP64": np.float64}[metadata["inputs"][0]["datatype"]]
    rows = np.full((3, columns), 0.5, dtype=dtype)
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "input",
                    "shape": [3, columns],
                    "datatype": metadata["inputs"][0]["datatype"],
                    "parameters": {"binary_data_size": rows.nbytes},
                }
            ]
        }
    ).encode()
    answer = post(application, f"/v2/models/{model}/infer", head + rows.tobytes(), **{LENGTH: str(len(head))})
    assert answer.status_code in {200, 422}, answer.get_data()
    if answer.status_code == 422:  # the bounds of the model's columns, told row by row
        assert {error["row"] for error in answer.get_json()["errors"]} == {0, 1, 2}
    else:
        assert LENGTH not in answer.headers
        assert answer.get_json()["outputs"][0]["shape"] == [3]


def test_a_raw_body_is_one_row(application: Application) -> None:
    answer = post(application, "/v2/models/iris/infer", FLOWERS[1].tobytes(), **{LENGTH: "0"})
    assert tensors_of(answer)["label"].tolist() == [2]


@pytest.mark.parametrize("tail", [b"", FLOWERS.tobytes()[:-1], FLOWERS.tobytes() + b"\0"])
def test_tensors_of_another_size_get_400(application: Application, tail: bytes) -> None:
    answer = infer(application, flowers(), tail)
    assert answer.status_code == 400
    assert answer.get_json()["error"]


@pytest.mark.parametrize("length", ["x", "-1", "100000", "7"])
def test_a_header_that_does_not_hold_gets_400(application: Application, length: str) -> None:
    assert infer(application, flowers(), FLOWERS.tobytes(), **{LENGTH: length}).status_code == 400


def test_nan_in_binary_gets_422_with_its_row(application: Application) -> None:
    rows = FLOWERS.copy()
    rows[1, 2] = np.nan
    answer = infer(application, flowers(rows), rows.tobytes())
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["row"] == 1
    assert answer.get_json()["errors"][0]["feature"] == NAMES[2]


def test_the_extension_is_advertised(application: Application) -> None:
    assert "binary_tensor_data" in application.client.get("/v2").get_json()["extensions"]


@pytest.mark.parametrize(("coding", "compress", "expand"), [("gzip", gzip.compress, gzip.decompress),
                                                           ("deflate", zlib.compress, zlib.decompress)])  # fmt: skip
def test_binary_bodies_may_be_compressed_in_both_directions(
    application: Application, coding: str, compress: Any, expand: Any
) -> None:
    rows = np.tile(FLOWERS, (1000, 1))
    text = json.dumps(flowers(rows, parameters={"binary_data_output": True})).encode()
    answer = post(
        application,
        "/v2/models/iris/infer",
        compress(text + rows.tobytes()),
        **{LENGTH: str(len(text)), "Content-Encoding": coding, "Accept-Encoding": coding},
    )
    assert answer.headers["Content-Encoding"] == coding
    assert answer.headers["Vary"] == "Accept-Encoding"
    body = expand(answer.get_data())
    head = json.loads(body[: int(answer.headers[LENGTH])])
    assert len(body) == int(answer.headers[LENGTH]) + sum(
        output["parameters"]["binary_data_size"] for output in head["outputs"]
    )


def test_a_small_answer_is_not_compressed(application: Application) -> None:
    body = json.dumps({"features": FLOWERS[0].tolist()}).encode()
    answer = post(application, "/v1/models/iris/predict", body, Accept_Encoding="gzip")
    assert "Content-Encoding" not in answer.headers


def test_csv_goes_in_and_out(application: Application) -> None:
    order = [2, 0, 3, 1]
    lines = [",".join(NAMES[index] for index in order)]
    lines += [",".join(str(row[index]) for index in order) for row in FLOWERS]
    body = "\r\n".join(lines).encode()
    answer = post(application, "/v1/models/iris/predict", body, Content_Type="text/csv", Accept="text/csv")
    assert answer.status_code == 200, answer.get_data()
    assert answer.headers["Content-Type"] == "text/csv"
    head, *rows = answer.get_data(as_text=True).splitlines()
    assert head == "prediction,label,probability_setosa,probability_versicolor,probability_virginica"
    assert [row.split(",")[:2] for row in rows] == [["0", "setosa"], ["2", "virginica"]]
    as_json = post(application, "/v1/models/iris/predict", body, Content_Type="text/csv; charset=UTF-8")
    assert as_json.get_json()["predictions"] == [0, 2]


def test_a_bad_cell_of_csv_gets_422_with_row_and_feature(application: Application) -> None:
    body = f"{','.join(NAMES)}\n5.1,3.5,1.4,0.2\n5.1,x,1.4,0.2\n".encode()
    answer = post(application, "/v1/models/iris/predict", body, Content_Type="text/csv")
    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [{"row": 1, "feature": NAMES[1], "detail": "expected a number"}]


@pytest.mark.parametrize(
    "content_type", ["text/csv; header=absent", "text/csv; charset=latin-1", "text/tab-separated-values"]
)
def test_other_tables_get_415(application: Application, content_type: str) -> None:
    assert post(application, "/v1/models/iris/predict", b"1", Content_Type=content_type).status_code == 415


def test_arrow_goes_in_and_out(application: Application) -> None:
    batch = pa.record_batch([pa.array(FLOWERS[:, index]) for index in range(4)], names=list(NAMES))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    body = sink.getvalue().to_pybytes()
    answer = post(application, "/v1/models/iris/predict", body, Content_Type=ARROW, Accept=ARROW)
    assert answer.status_code == 200, answer.get_data()
    assert pa.ipc.open_stream(answer.get_data()).read_all().column("label").to_pylist() == ["setosa", "virginica"]
    broken = post(application, "/v1/models/iris/predict", body[: len(body) // 2], Content_Type=ARROW)
    assert broken.status_code == 400


def test_other_protocols_read_neither_csv_nor_arrow(application: Application) -> None:
    for kind in ("text/csv", ARROW):
        assert post(application, "/v1/models/iris:predict", b"", Content_Type=kind).status_code == 415
        assert post(application, "/v2/models/iris/infer", b"", Content_Type=kind).status_code == 400
    assert post(application, "/v1/models/iris:predict", b"{}", Accept="text/csv").status_code == 406


def test_tensorflow_takes_what_curl_declares_and_the_rows_protocol_does_not(application: Application) -> None:
    body = json.dumps({"instances": FLOWERS.tolist()}).encode()
    form = "application/x-www-form-urlencoded"
    assert post(application, "/v1/models/iris:predict", body, Content_Type=form).status_code == 200
    assert post(application, "/v1/models/iris/predict", body, Content_Type=form).status_code == 415


def test_the_openapi_document_names_every_format(application: Application) -> None:
    paths = application.client.get("/openapi.json").get_json()["paths"]
    for path in ("/v1/models/{name}/predict", "/v1/models/iris/predict"):
        operation = paths[path]["post"]
        for body in (operation["requestBody"], operation["responses"]["200"]):
            assert list(body["content"]) == ["application/json", "text/csv", ARROW]
    operation = paths["/v2/models/{name}/infer"]["post"]
    assert LENGTH in {parameter["name"] for parameter in operation["parameters"]}
    assert LENGTH in operation["responses"]["200"]["headers"]
    assert "application/octet-stream" in operation["requestBody"]["content"]

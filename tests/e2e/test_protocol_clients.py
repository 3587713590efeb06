"""Clients that others wrote, speaking to a running server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferenceServerException, InferInput, InferRequestedOutput

from conftest import copied
from support.server import RunningServer


@pytest.fixture(scope="module")
def server(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(copied(prepared_home, tmp_path_factory.mktemp("clients")), "--workers", "2") as running:
        yield running


@pytest.fixture(scope="module")
def triton(server: RunningServer) -> Iterator[tuple[InferenceServerClient, dict[str, str]]]:
    client = InferenceServerClient(f"127.0.0.1:{server.port}")
    token = server.token(server.create_client("triton", "predict:*", "models:read"))
    yield client, {"Authorization": f"Bearer {token}"}
    client.close()


def test_tritonclient_finds_the_server_and_its_models_ready(
    triton: tuple[InferenceServerClient, dict[str, str]],
) -> None:
    client, headers = triton
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "secure-ml-api"
    assert client.is_model_ready("iris", headers=headers)
    assert client.is_model_ready("iris", "1", headers=headers)
    assert not client.is_model_ready("iris", "9", headers=headers)


def test_tritonclient_reads_what_a_model_takes_and_gives(
    triton: tuple[InferenceServerClient, dict[str, str]],
) -> None:
    client, headers = triton
    metadata = client.get_model_metadata("iris", headers=headers)
    assert metadata["name"] == "iris"
    assert metadata["versions"] == ["1"]
    (tensor,) = metadata["inputs"]
    assert len(tensor.pop("parameters")["features"]) == 4
    assert tensor == {"name": "input", "datatype": "FP32", "shape": [-1, 4]}
    assert metadata["outputs"] == [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
    ]


@pytest.mark.parametrize("named", [True, False])
def test_tritonclient_infers_over_json(triton: tuple[InferenceServerClient, dict[str, str]], named: bool) -> None:
    client, headers = triton
    rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=np.float32)
    tensor = InferInput("input", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows, binary_data=False)
    outputs = [InferRequestedOutput(name, binary_data=False) for name in ("label", "probabilities")] if named else None
    answer = client.infer("iris", [tensor], outputs=outputs, request_id="r-1", headers=headers)
    assert answer.as_numpy("label").tolist() == [0, 2]
    assert answer.as_numpy("probabilities").shape == (2, 3)
    assert answer.get_response()["id"] == "r-1"


def test_tritonclient_is_told_what_is_wrong(triton: tuple[InferenceServerClient, dict[str, str]]) -> None:
    client, headers = triton
    tensor = InferInput("input", (1, 3), "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 3), dtype=np.float32), binary_data=False)
    with pytest.raises(InferenceServerException, match="shape"):
        client.infer("iris", [tensor], headers=headers)
    with pytest.raises(InferenceServerException, match="bearer token"):
        client.infer("iris", [tensor])


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tritonclient_sends_and_gets_binary_tensors(
    triton: tuple[InferenceServerClient, dict[str, str]], compression: str | None
) -> None:
    client, headers = triton
    rows = np.tile(np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=np.float32), (500, 1))
    tensor = InferInput("input", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)
    answer = client.infer(
        "iris",
        [tensor],
        headers=dict(headers),  # the client writes into them
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    assert answer.as_numpy("label").tolist() == [0, 2] * 500
    assert answer.as_numpy("probabilities").shape == (1000, 3)
    assert "data" not in answer.get_output("label")


def test_tritonclient_asks_for_each_output_in_its_own_form(
    triton: tuple[InferenceServerClient, dict[str, str]],
) -> None:
    client, headers = triton
    rows = np.array([[5.1, 3.5, 1.4, 0.2]], dtype=np.float32)
    tensor = InferInput("input", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)
    outputs = [InferRequestedOutput("label", binary_data=False), InferRequestedOutput("probabilities")]
    answer = client.infer("iris", [tensor], outputs=outputs, headers=dict(headers))
    assert answer.get_output("label")["data"] == [0]
    assert answer.as_numpy("label").tolist() == [0]
    assert answer.as_numpy("probabilities").shape == (1, 3)


def test_tritonclient_is_told_what_is_wrong_with_binary_tensors(
    triton: tuple[InferenceServerClient, dict[str, str]],
) -> None:
    client, headers = triton
    rows = np.array([[5.1, 3.5, np.nan, 0.2]], dtype=np.float32)
    tensor = InferInput("input", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)
    with pytest.raises(InferenceServerException, match="do not fit the model"):
        client.infer("iris", [tensor], headers=dict(headers))

"""What a call sends for the rows that it is given, and what it gives back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
import pandas
import pytest

from secure_ml_api.client import AsyncClient, BadRequest, Client, InvalidRows

FRAME = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})


class Weigher:
    """A server whose versions weigh their first feature ×1 and their second ×10, and so on; ``serving`` may change."""

    def __init__(self, **features: list[str]) -> None:
        self.features = features
        self.serving = next(iter(features))
        self.datatype = "FP64"
        self.paths: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/oauth/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 900})
        self.paths.append(path)
        version = path.split("/versions/")[1].split("/")[0] if "/versions/" in path else self.serving
        count = len(self.features[version])
        if request.method == "GET":
            described = {"name": "input", "datatype": self.datatype, "shape": [-1, count]}
            named = {**described, "parameters": {"features": self.features[version]}}
            return httpx.Response(200, json={"inputs": [named], "parameters": {"version": version}})
        length = int(request.headers["Inference-Header-Content-Length"])
        (tensor,) = json.loads(request.content[:length])["inputs"]
        if tensor["datatype"] != self.datatype:
            return httpx.Response(422, json={"detail": "an input does not have the model's datatype"})
        dtype = {"FP64": "<f8", "INT64": "<i8"}[self.datatype]
        rows = np.frombuffer(request.content[length:], dtype).reshape(tensor["shape"])
        data = (rows @ 10.0 ** np.arange(count)).tolist()
        output = {"name": "value", "datatype": "FP64", "shape": [len(data)], "data": data}
        return httpx.Response(200, json={"model_name": "m", "model_version": version, "outputs": [output]})

    def client(self, **options: Any) -> Client:
        return Client("http://server", "id", "secret", transport=httpx.MockTransport(self), **options)


def test_frame_is_answered_the_same_whatever_the_order_of_its_columns() -> None:
    server = Weigher(one=["a", "b"])
    with server.client(most_rows=1) as client:
        assert client.predict("m", FRAME)["value"].tolist() == [31.0, 42.0]
        assert client.predict("m", FRAME[["b", "a"]])["value"].tolist() == [31.0, 42.0]
        assert client.predict("m", FRAME[["b", "a"]].to_numpy())["value"].tolist() == [13.0, 24.0]


def test_both_clients_go_by_name() -> None:
    async def ask() -> list[float]:
        transport = httpx.MockTransport(Weigher(one=["a", "b"]))
        async with AsyncClient("http://server", "id", "secret", transport=transport) as client:
            answer = await client.predict("m", FRAME[["b", "a"]])
            return list(answer["value"])

    assert asyncio.run(ask()) == [31.0, 42.0]


def test_rows_that_do_not_fit_are_refused_before_any_of_them_is_sent() -> None:
    server = Weigher(one=["a", "b"])
    with server.client(most_rows=1) as client:
        for wrong in (FRAME.rename(columns={"a": "z"}), [[1, 2], [1]], [[1, 2, 3]], [[1, 2], ["x", 2]]):
            with pytest.raises(InvalidRows):
                client.predict("m", wrong)
    assert not any(path.endswith("/infer") for path in server.paths)


def test_names_go_by_the_version_that_answers_when_another_serves_than_before() -> None:
    server = Weigher(one=["a", "b"], two=["b", "a"])
    with server.client(most_rows=1) as client:
        assert client.predict("m", FRAME)["value"].tolist() == [31.0, 42.0]
        server.serving = "two"
        for _ in range(2):
            answer = client.predict("m", FRAME)
            assert (answer.version, answer["value"].tolist()) == ("two", [13.0, 24.0])
    assert server.paths[-2:] == ["/v2/models/m/infer"] * 2


def test_rows_are_not_refused_by_what_another_version_took_before() -> None:
    server = Weigher(one=["a", "b"], two=["a", "b", "c"])
    with server.client() as client:
        client.predict("m", FRAME)
        server.serving = "two"
        assert client.predict("m", FRAME.assign(c=5.0))["value"].tolist() == [531.0, 542.0]
        assert client.predict("m", np.ones((1, 3)))["value"].tolist() == [111.0]


def test_model_that_takes_another_type_than_before_is_asked_as_it_wants_after_one_refusal() -> None:
    server = Weigher(one=["a", "b"])
    with server.client() as client:
        client.predict("m", FRAME)
        server.datatype = "INT64"
        with pytest.raises(InvalidRows, match="datatype"):
            client.predict("m", FRAME)
        assert client.predict("m", FRAME)["value"].tolist() == [31.0, 42.0]


def test_version_may_be_a_number() -> None:
    with Weigher(**{"1": ["a", "b"]}).client() as client:
        assert client.predict("m", FRAME, version=1).version == "1"
        assert client.metadata("m", 1) == client.metadata("m", "1")


def test_prediction_is_a_mapping_of_its_outputs() -> None:
    with Weigher(one=["a", "b"]).client() as client:
        answer = client.predict("m", FRAME)
    assert isinstance(answer, Mapping)
    assert ("value" in answer, "label" in answer) == (True, False)
    assert (list(answer), len(answer)) == (["value"], 1)
    assert dict(answer)["value"].tolist() == answer["value"].tolist()
    assert answer.get("label") is None


def test_rows_that_are_none_are_told_without_asking_the_server() -> None:
    server = Weigher(one=["a", "b"])
    with server.client() as client, pytest.raises(BadRequest, match=r"an array \[rows, features\]"):
        client.predict("m", {"a": [1.0], "b": [2.0]})
    assert server.paths == []

"""``python -m support.hanging --home HOME``: the real server with models that take as long as they are told to.

    looper        an ONNX graph that turns as often as its row says; its runs can be stopped; quick with a row of 0
    slow-looper   the same, and slow from the start
    stuck         waits for as many seconds as its row says, inside the C library, and cannot be stopped; quick with 0
    slow-stuck    the same, and slow from the start
    tiny          answers at once, beside them
    sleeper       takes 5 ms, and a place, beside them (see ``sleeping``)

All but ``sleeper`` and ``tiny`` take one number and answer with it.
"""

from __future__ import annotations

import argparse
import ctypes
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from secure_ml_api.app import create_app
from secure_ml_api.cli.init import prepare
from secure_ml_api.models.model import built_in
from secure_ml_api.models.sample import SAMPLE_FILE, Sample, write_sample
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.onnx import MODEL_FILE
from secure_ml_api.runtimes.protocol import Session, VerifiedArtifact
from secure_ml_api.server.application import serve
from secure_ml_api.server.program import standard_program
from secure_ml_api.settings import Settings, read_settings
from secure_ml_api.tensors import Column, Signature, Tensors
from support.packages import manifest_of, publish
from support.sleeping import SleepingRuntime, publish_sleeper

SIGNATURE = Signature(task="regression", columns=(Column(name="how_long"),))
SCOPES = "predict:*"

_FOR_EVER = 1e15
_SLOW_TURNS, _SLOW_SECONDS = 20_000.0, 0.002


def looping_graph() -> bytes:
    """``value = input``, after as many turns of an empty loop as the largest of its rows says."""
    scalar = partial(helper.make_tensor_value_info, shape=[])
    rows = partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
    body = helper.make_graph(
        [helper.make_node("Identity", ["goes_on"], ["goes_on_still"]), helper.make_node("Identity", ["x"], ["same"])],
        "turn",
        [scalar("turn", TensorProto.INT64), scalar("goes_on", TensorProto.BOOL), rows("x", shape=["rows", 1])],
        [scalar("goes_on_still", TensorProto.BOOL), rows("same", shape=["rows", 1])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["input"], ["most"], keepdims=0),
            helper.make_node("Cast", ["most"], ["turns"], to=TensorProto.INT64),
            helper.make_node("Loop", ["turns", "", "input"], ["looped"], body=body),
            helper.make_node("Reshape", ["looped", "flat"], ["value"]),
        ],
        "loop",
        [rows("input", shape=["rows", 1])],
        [rows("value", shape=["rows"])],
        [helper.make_tensor("flat", TensorProto.INT64, [1], [-1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


def hang(seconds: float) -> None:
    """Wait in the C library as native code does: the interpreter is let go of, and no signal of Python's ends it."""
    read, write = os.pipe()
    timer = Timer(min(seconds, 3600.0), os.close, [write])
    timer.daemon = True
    timer.start()
    ctypes.CDLL(None).read(read, ctypes.create_string_buffer(1), 1)
    os.close(read)


class StuckSession:
    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        seconds = float(inputs["input"].max())
        if seconds > 0:
            hang(seconds)
        return dict.fromkeys(outputs, inputs["input"][:, 0])


class StuckRuntime:
    name = "stuck"
    fork_safe = True

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        return StuckSession()


def create(settings: Settings) -> Any:
    own = built_in(settings.inference.architectures)
    return create_app(settings, (*own, StuckRuntime(), SleepingRuntime()))


def prepare_home(settings: Settings) -> None:
    prepare(settings, examples=False)
    store = Store.of(settings)
    if "tiny" in store.names():
        return
    publish(store, name="tiny")
    publish_sleeper(store)
    for name, runtime, file, first in (
        ("looper", "onnx", looping_graph(), 0.0),
        ("slow-looper", "onnx", looping_graph(), _SLOW_TURNS),
        ("stuck", "stuck", b"waits\n", 0.0),
        ("slow-stuck", "stuck", b"waits\n", _SLOW_SECONDS),
    ):
        rows = np.full((4, 1), first, np.float32)
        sample = write_sample(Sample({"input": rows}, {"value": rows[:, 0]}), SIGNATURE)
        files = {MODEL_FILE: file, SAMPLE_FILE: sample}
        store.publish(manifest_of(files, name=name, runtime=runtime, signature=SIGNATURE, parity=None), files)


def for_ever(model: str) -> tuple[float]:
    """A row that ``model`` does not come to the end of."""
    return (_FOR_EVER if model.endswith("looper") else 3600.0,)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    for option in ("port", "metrics-port", "workers", "threads"):
        parser.add_argument(f"--{option}", type=int)
    options = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    home = options.pop("home")
    serve(partial(read_settings, home, server=options), prepare_home, replace(standard_program(), create=create))


if __name__ == "__main__":
    main()

"""``python -m support.sleeping --home HOME``: the real server with a model that sleeps, as a signed package of HOME.

The model ``sleeper`` takes four numbers a row and answers with their sum, after 5 ms for a run of one row and 6 ms for
one of 32, whoever asks: the model on which it shows whether a server merges its callers. HOME is made when it is not
there: keys, database and this model, no examples. The options are those of ``secure-ml-api serve``; settings come from
HOME/config.toml and the environment as ever (``SECURE_ML_API_BATCHING__ENABLED=never`` turns merging off). It needs
this project's environment and PYTHONPATH=tests:

    PYTHONPATH=tests python -m support.sleeping --home /tmp/sleeping --port 8000 --workers 1
    secure-ml-api clients create load --home /tmp/sleeping --scope predict:sleeper \
        --rate 1000000/second --rows 1000000/second --concurrency 1000 --json
    secure-ml-api token --home /tmp/sleeping …
    curl -H "Authorization: Bearer $TOKEN" -d '{"features": [1, 2, 3, 4]}' localhost:8000/v1/models/sleeper/predict

A row that begins with −1 makes its run fail.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from secure_ml_api.app import create_app
from secure_ml_api.cli.init import prepare
from secure_ml_api.errors import PackageRefused
from secure_ml_api.models.model import RUNTIMES
from secure_ml_api.models.sample import SAMPLE_FILE, Sample, write_sample
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.protocol import Session, VerifiedArtifact
from secure_ml_api.server.application import serve
from secure_ml_api.server.program import Program, standard_program
from secure_ml_api.settings import Settings, read_settings
from secure_ml_api.tensors import Column, Signature, Tensors
from support.packages import manifest_of

MODEL = "sleeper"
MODEL_FILE = "sleep.txt"
SIGNATURE = Signature(task="regression", columns=tuple(Column(name=name) for name in "abcd"))

_ONE_ROW_SECONDS = 0.005
_FURTHER_ROW_SECONDS = 0.001 / 31


@dataclass(frozen=True, slots=True)
class SleepingSession:
    """Lets go of the interpreter while it sleeps, as a native run does."""

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        rows = inputs["input"]
        time.sleep(_ONE_ROW_SECONDS + max(0, len(rows) - 1) * _FURTHER_ROW_SECONDS)
        if (rows[:, 0] == -1).any():
            raise ValueError("a row that this model cannot bear")
        values: Tensors = {"value": rows.sum(axis=1, dtype=np.float32)}
        return {name: values[name] for name in outputs}


class SleepingRuntime:
    name = "sleeping"
    fork_safe = True

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        if MODEL_FILE not in artifact.files:
            raise PackageRefused(f"{artifact.name}/{artifact.version}: the package has no {MODEL_FILE}")
        return SleepingSession()


def publish_sleeper(store: Store, **changes: Any) -> None:
    """Sign the model and put it into the home; ``changes`` to its manifest, such as ``batching="never"``."""
    rows = np.arange(16, dtype=np.float32).reshape(4, 4)
    sample = write_sample(Sample({"input": rows}, {"value": rows.sum(axis=1)}), SIGNATURE)
    files = {MODEL_FILE: b"5 ms for a row, 6 ms for 32\n", SAMPLE_FILE: sample}
    parts = {"runtime": SleepingRuntime.name, "signature": SIGNATURE, "parity": None}
    store.publish(manifest_of(files, name=MODEL, **{**parts, **changes}), files)


def program() -> Program:
    """This package's own application, with one more runtime."""
    return replace(standard_program(), create=partial(create_app, runtimes=(*RUNTIMES, SleepingRuntime())))


def prepare_home(settings: Settings) -> None:
    prepare(settings, examples=False)
    store = Store.of(settings)
    if not store.versions(MODEL):
        publish_sleeper(store)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--worker-class")
    for option in ("port", "metrics-port", "workers", "threads"):
        parser.add_argument(f"--{option}", type=int)
    options = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    home = options.pop("home")
    serve(partial(read_settings, home, server=options), prepare_home, program())


if __name__ == "__main__":
    main()

"""From a table to an authenticated prediction: the whole way for a model of your own.

    pip install 'secure-ml-api[train]'
    python examples/serve_your_own.py

Everything happens in a temporary directory, on free ports of the loopback address, and is gone afterwards.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

TARGET = "progression"


def load_data() -> pd.DataFrame:
    """442 patients: age, sex, body mass index, blood pressure, six blood values, and how the illness went on."""
    frame: pd.DataFrame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": TARGET})
    # The data says 1 and 2, and not which is which; as text it shows how a column of categories is served.
    frame["sex"] = frame["sex"].map({1.0: "group 1", 2.0: "group 2"})
    return frame


def build_search(numbers: list[str]) -> GridSearchCV:
    """Preprocessing, feature engineering, selection and a model, tuned together so that no fold sees another."""
    prepare = ColumnTransformer(
        [
            # Gaps are filled, and products of two values become features: blood values act together.
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler(), PolynomialFeatures(2)), numbers),
            ("sex", OneHotEncoder(), ["sex"]),
        ]
    )
    pipeline = Pipeline([("prepare", prepare), ("select", SelectKBest(f_regression)), ("model", Ridge())])
    return GridSearchCV(pipeline, {"select__k": [8, 16, 32], "model__alpha": [0.1, 1.0, 10.0, 100.0]}, cv=5)


def secure_ml_api(home: Path, *arguments: str, **environment: str) -> str:
    """What the command line answers; its errors go to the terminal and end the script."""
    command = [sys.executable, "-m", "secure_ml_api", *arguments, "--home", str(home)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    return finished.stdout.strip()


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """The URL of a server that is ready, and that is stopped in the end."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        port, metrics_port = one.getsockname()[1], two.getsockname()[1]
    command = [sys.executable, "-m", "secure_ml_api", "serve", "--home", str(home), "--workers", "1"]
    command += ["--port", str(port), "--metrics-port", str(metrics_port)]
    log = (home / "server.log").open("w")
    server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield wait_until_ready(server, f"http://127.0.0.1:{port}", home / "server.log")
    finally:
        server.terminate()
        server.wait(timeout=40)
        log.close()


def wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> str:
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(f"{url}/v2/health/ready", timeout=1):
                return url
        except (URLError, OSError):
            time.sleep(0.1)
    sys.exit(f"the server did not become ready:\n{log.read_text()}")


def post(url: str, token: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=10) as answer:
        return json.load(answer)


def main() -> None:
    # Train, choose and evaluate on patients that the search has not seen.
    known, unseen = train_test_split(load_data(), test_size=0.2, random_state=42)
    features = [name for name in known.columns if name != TARGET]
    search = build_search([name for name in features if name != "sex"]).fit(known[features], known[TARGET])
    model, predicted = search.best_estimator_, search.predict(unseen[features])
    r2, error = r2_score(unseen[TARGET], predicted), mean_absolute_error(unseen[TARGET], predicted)
    print(f"best of the search: {search.best_params_}; on unseen patients: R² {r2:.2f}, mean error {error:.0f}")

    with TemporaryDirectory() as directory:
        home = Path(directory) / "home"
        # Save without pickle, then turn it into a signed package that is proven to answer the same.
        skops.io.dump(model, Path(directory) / "model.skops")
        known.to_csv(Path(directory) / "sample.csv", index=False)
        secure_ml_api(home, "init", "--no-examples")
        pack = ["models", "pack", f"{directory}/model.skops", "--name", "diabetes"]
        pack += ["--sample", f"{directory}/sample.csv", "--target", TARGET]
        pack += ["--metric", f"r2={r2:.3f}", "--metric", f"mean_absolute_error={error:.1f}"]
        print(secure_ml_api(home, *pack))

        # A client that may ask this model and no other, a token for it, and predictions by feature name.
        client = json.loads(secure_ml_api(home, "clients", "create", "clinic", "--scope", "predict:diabetes", "--json"))
        with serving(home) as url:
            secret = client["client_secret"]
            asked = ["token", "--client-id", client["client_id"], "--url", url]
            token = secure_ml_api(home, *asked, SECURE_ML_API_CLIENT_SECRET=secret)
            patients = unseen[features].head(3).to_dict("records")
            answer = post(f"{url}/v1/models/diabetes/predict", token, {"instances": patients})
    for served, trained in zip(answer["predictions"], predicted[:3], strict=True):
        print(f"served {served:.3f}, trained model {trained:.3f}")


if __name__ == "__main__":
    main()

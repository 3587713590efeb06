"""`models pack`: what it makes, what it says of it, and what it wants consent for."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from secure_ml_api.cli.models_shown import pack_lines
from secure_ml_api.models.registry import Registry
from secure_ml_api.runtimes.skops_files import skops_io
from support.packages import publish
from support.terminal import Terminal
from support.training import customers, pipeline


@pytest.fixture
def trained(tmp_path: Path) -> tuple[str, str]:
    """A skops file and a CSV sample with the answer in it."""
    frame, words, _ = customers()
    skops_io().dump(pipeline(LogisticRegression()).fit(frame, words), tmp_path / "model.skops")
    frame.assign(answer=words).to_csv(tmp_path / "sample.csv", index=False)
    return str(tmp_path / "model.skops"), str(tmp_path / "sample.csv")


@pytest.mark.slow
def test_pack_makes_a_package_that_serves_and_says_how_it_was_proven(
    terminal: Terminal, trained: tuple[str, str]
) -> None:
    source, sample = trained
    options = ["--sample", sample, "--target", "answer", "--label", "goes=will leave", "--bounds", "age=0:120"]
    options += ["--data", sample, "--about-data", "name=Customers", "--about-data", "licence=none, ours", "--by", "Ada"]
    status, out, err = terminal.run("pack", source, "--name", "churn", *options, "--metric", "accuracy=0.9")
    assert (status, err) == (0, "")
    assert "packed churn/1 sha256:" in out
    assert "300 sample and 1000 generated rows" in out
    assert "drift is measured on " in out
    manifest = terminal.store.verify("churn", "1").manifest
    assert manifest.signature.labels == ("will leave", "stays")
    assert manifest.metrics == {"accuracy": 0.9}
    shown = terminal.json("show", "churn")
    assert shown["manifest"]["provenance"]["source"] == "skops"
    digest = hashlib.sha256(Path(sample).read_bytes()).hexdigest()
    assert shown["manifest"]["provenance"]["sample_sha256"] == shown["manifest"]["training_data"]["sha256"] == digest
    assert str(terminal.home.parent) not in json.dumps(shown)
    _, out, _ = terminal.run("show", "churn")
    assert f"data: Customers, rows: 300, licence: none, ours, sha256: {digest}" in out
    assert " by Ada" in out.splitlines()[0]
    assert [row["serving"] for row in terminal.json("list")] == [True]


@pytest.mark.slow
def test_pack_and_show_print_the_table_of_timings_with_the_kept_form_marked(
    terminal: Terminal, trained: tuple[str, str]
) -> None:
    source, sample = trained
    _, packed, _ = terminal.run("pack", source, "--name", "churn", "--sample", sample, "--target", "answer")
    _, shown, _ = terminal.run("show", "churn")
    manifest = terminal.store.verify("churn", "1").manifest
    assert {timing.rows for timing in manifest.timings} == {1, 32, 1000}
    for out in (packed, shown):
        assert "on 1, 32, 1000 rows (median, where it was packed)" in out
        kept = next(line for line in out.splitlines() if line.endswith("(kept)"))
        assert manifest.provenance.graph in kept
        assert len(kept.split(manifest.provenance.graph)[0].split()) == 3
        assert sum(line.endswith("as trained") for line in out.splitlines()) == 1


@pytest.mark.slow
def test_a_model_that_no_graph_answers_like_needs_consent_and_says_what_serving_it_takes(
    terminal: Terminal, tmp_path: Path
) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 2))
    model = TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(rows, np.exp(rows[:, 0]))
    skops_io().dump(model, tmp_path / "model.skops")
    np.savetxt(tmp_path / "sample.csv", rows, delimiter=",", header="a,b", comments="")
    arguments = ["pack", str(tmp_path / "model.skops"), "--name", "price", "--sample", str(tmp_path / "sample.csv")]
    assert "--allow-native" in terminal.refusal(*arguments)
    status, out, err = terminal.run(*arguments, "--allow-sklearn")
    assert (status, err) == (0, "")
    assert "the server needs `pip install 'secure-ml-api[train]'`" in out
    package = terminal.store.verify("price", "1")
    assert package.manifest.runtime == "sklearn"
    assert set(package.artifact.files) == {"model.skops", "sample.npz"}
    assert terminal.json("verify", "price")[0]["verified"] is True
    registry = Registry(terminal.store)
    registry.load()
    # It holds threads, so it is loaded in each worker and not before the fork.
    assert [state.state for state in registry.states()] == ["LOADING"]
    registry.start_worker()
    registry.warm_up()
    value = registry.resolve("price").session.run({"input": rows}, ["value"])["value"]
    np.testing.assert_allclose(value, model.predict(rows))


def test_pack_names_the_command_that_loads_it_where_a_server_runs(terminal: Terminal) -> None:
    package = publish(terminal.store)
    *_, alone = pack_lines(package.manifest, package.artifact.digest, {})
    *_, beside = pack_lines(package.manifest, package.artifact.digest, {}, running=True)
    assert alone == "the next start or reload of the server serves it"
    assert beside == f"{alone}, and the one that runs after `secure-ml-api models load tiny`"


def test_pack_says_when_the_sample_is_too_small_for_drift(terminal: Terminal) -> None:
    package = publish(terminal.store)
    lines = [*pack_lines(package.manifest, package.artifact.digest, {})]
    assert "drift is not measured: the sample has 4 rows, and it takes 100" in lines


@pytest.mark.slow
def test_pack_says_how_callers_send_truth_values(terminal: Terminal, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 2))
    frame = pd.DataFrame({"size": rows[:, 0], "member": rows[:, 1] > 0})
    skops_io().dump(Ridge().fit(frame, rows[:, 0]), tmp_path / "model.skops")
    frame.to_csv(tmp_path / "sample.csv", index=False)
    arguments = [str(tmp_path / "model.skops"), "--name", "price", "--sample", str(tmp_path / "sample.csv")]
    _, out, _ = terminal.run("pack", *arguments)
    assert "callers send 1 for true and 0 for false, in 'member'" in out.splitlines()


@pytest.mark.slow
def test_pack_prints_json_and_nothing_else_when_asked(terminal: Terminal, trained: tuple[str, str]) -> None:
    source, sample = trained
    packed = terminal.json("pack", source, "--name", "churn", "--sample", sample, "--target", "answer")
    assert (packed["name"], packed["version"]) == ("churn", "1")
    assert packed["manifest"]["parity"]["sample_rows"] == 300


@pytest.mark.slow
def test_a_pickle_needs_consent_and_consent_is_told_what_it_means(terminal: Terminal, tmp_path: Path) -> None:
    frame, words, _ = customers()
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(pipeline(LogisticRegression()).fit(frame, words)))
    frame.to_csv(tmp_path / "sample.csv", index=False)
    arguments = ["pack", str(tmp_path / "model.pkl"), "--name", "churn", "--sample", str(tmp_path / "sample.csv")]
    assert "--trust-pickle" in terminal.refusal(*arguments)
    status, out, err = terminal.run(*arguments, "--trust-pickle")
    assert status == 0
    assert "runs whatever code is in it" in err
    assert "packed churn/1" in out


@pytest.mark.parametrize(
    "options",
    [
        ["--label", "setosa"],
        ["--bounds", "age=young:old"],
        ["--bounds", "age=5"],
        ["--metric", "accuracy=good"],
        ["--metric", "accuracy=nan"],
        ["--metric", "accuracy=1e400"],
        ["--metric", "accuracy=0.9", "--metric", "accuracy=0.8"],
        ["--label", "0=no", "--label", "0=yes"],
        ["--bounds", "age=nan:"],
        ["--bounds", "age=:inf"],
        ["--bounds", "age=1e400:"],
        ["--bounds", "age=0:", "--bounds", "age=1:"],
        ["--task", "clustering"],
    ],
)
def test_options_that_cannot_be_read_are_bad_usage(terminal: Terminal, tmp_path: Path, options: list[str]) -> None:
    unread = tmp_path / "unread"
    unread.touch()
    status, out, err = terminal.run("pack", str(unread), "--name", "churn", "--sample", str(unread), *options)
    assert (status, out) == (2, "")
    assert options[0] in err


@pytest.mark.slow
def test_trees_that_no_graph_answers_like_are_served_by_their_library_by_consent(
    terminal: Terminal, tmp_path: Path
) -> None:
    from xgboost import XGBRegressor

    rows = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
    # The converter does not know trees that were dropped while training.
    model = XGBRegressor(booster="dart", rate_drop=0.5, n_estimators=9).fit(rows, rows[:, 0])
    model.save_model(tmp_path / "model.json")
    np.savetxt(tmp_path / "sample.csv", rows, delimiter=",", header="a,b", comments="")
    arguments = ["pack", str(tmp_path / "model.json"), "--name", "price", "--sample", str(tmp_path / "sample.csv")]
    refusal = terminal.refusal(*arguments)
    assert "no graph answers as this XGBRegressor does" in refusal
    assert "or let the framework that trained it serve it, with --allow-native" in refusal
    status, out, err = terminal.run(*arguments, "--allow-native")
    assert (status, err) == (0, "")
    assert "XGBoost itself runs it: the server needs `pip install 'secure-ml-api[xgboost]'`" in out
    package = terminal.store.verify("price", "1")
    assert (package.manifest.runtime, package.manifest.provenance.source) == ("xgboost", "xgboost")
    assert set(package.artifact.files) == {"model.xgboost.json", "sample.npz"}
    assert terminal.json("verify", "price")[0]["verified"] is True

"""The example models answer as what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import copied
from secure_ml_api.cli.card_lines import data_lines
from secure_ml_api.examples.build import build_examples, build_examples_here, missing_examples
from secure_ml_api.examples.catalogue import EXAMPLES, boston_housing, made_samples
from secure_ml_api.models.recheck import recheck_package
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from secure_ml_api.packaging.trained import Trained
from secure_ml_api.settings import read_settings
from support.packages import store_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A home with all examples, trained and packed once for the whole run."""
    return store_in(copied(prepared_home, tmp_path_factory.mktemp("examples")))


@pytest.fixture(scope="module")
def registry(store: Store) -> Registry:
    made = Registry(store)
    made.load()
    made.start_worker()
    made.warm_up()
    return made


def test_the_five_examples_are_ready(registry: Registry) -> None:
    assert [model.name for model in registry.serving()] == ["cancer-svm", "housing", "iris", "iris-tree", "outliers"]
    assert dict(registry.problems) == {}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_answers_1000_new_rows_as_the_trained_model_does(registry: Registry, name: str) -> None:
    example = EXAMPLES[name]()
    model = registry.resolve(name)
    random = np.random.default_rng(1)
    origin = random.integers(0, example.sample.rows, 1000)
    rows = type(example.sample)(
        {
            column: values[origin] + random.normal(0, 0.1 * values.std(), 1000)
            for column, values in example.sample.columns.items()
        }
    ).rounded("FP32")
    wanted = Trained(example.estimator, example.sample).answers(rows)
    given = model.session.run(rows.tensors(model.signature), [spec.name for spec in model.signature.outputs])
    for output, tensor in wanted.items():
        if output == "label":
            assert given[output].tolist() == tensor.tolist()
        else:
            np.testing.assert_allclose(given[output], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_signed_package_whose_parity_holds_again(store: Store, name: str) -> None:
    comparison = recheck_package(store.verify(name, "1"))
    assert not comparison.differing.any()


ROWS_LEARNT = {"iris": 150, "iris-tree": 150, "cancer-svm": 569, "housing": 506, "outliers": 1000}


def test_the_card_of_an_example_tells_the_data_that_it_learnt_from(store: Store) -> None:
    told = {name: store.verify(name, "1").manifest.training_data for name in EXAMPLES}
    assert {name: data and data.rows for name, data in told.items()} == ROWS_LEARNT
    assert told["housing"] is not None
    assert "\n".join(data_lines(told["housing"])).startswith(
        "data: Boston housing (Harrison and Rubinfeld, 1978), rows: 506"
    )
    assert all(example().sample.rows == ROWS_LEARNT[name] for name, example in EXAMPLES.items())


def test_the_features_and_classes_of_iris_have_the_names_that_scikit_learn_gives(registry: Registry) -> None:
    for name in ("iris", "iris-tree"):
        signature = registry.resolve(name).signature
        assert signature.column_names[0] == "sepal length (cm)"
        assert signature.classes == (0, 1, 2)
        assert signature.labels == ("setosa", "versicolor", "virginica")


def test_the_outliers_are_a_tenth_of_what_the_model_was_trained_on(registry: Registry) -> None:
    model = registry.resolve("outliers")
    label = model.session.run({"input": made_samples().astype(np.float32)}, ["label"])["label"]
    assert (label == -1).sum() == 100


def test_boston_housing_has_506_rows_and_12_features_without_the_race_derived_one() -> None:
    features, target, names = boston_housing()
    assert features.shape == (506, 12)
    assert target.shape == (506,)
    assert "B" not in names
    assert names[-1] == "LSTAT"
    assert (features[0, 0], target[0]) == (0.00632, 24.0)


def test_building_again_changes_nothing(store: Store) -> None:
    before = {name: store.verify(name, "1").artifact.digest for name in EXAMPLES}
    assert build_examples_here(store, EXAMPLES) == []
    assert {name: store.verify(name, "1").artifact.digest for name in EXAMPLES} == before
    assert all(store.versions(name) == ["1"] for name in EXAMPLES)


def test_only_missing_examples_are_built_and_in_another_process(store: Store, tmp_path: Path) -> None:
    settings = read_settings(tmp_path, {})
    own = Store.of(settings)
    for name in EXAMPLES:
        if name != "housing":
            package = store.verify(name, "1")
            own.publish(package.manifest, package.artifact.files)
    assert missing_examples(own, EXAMPLES) == ["housing"]
    assert build_examples(settings, EXAMPLES) == ["housing"]
    assert own.verify("housing", "1").manifest.signature.task == "regression"
    assert build_examples(settings, EXAMPLES) == []

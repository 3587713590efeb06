"""What a card tells of how a model was trained."""

from __future__ import annotations

from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from secure_ml_api.packaging.hyperparameters import hyperparameters


def test_parts_of_a_pipeline_tell_theirs_and_no_place_on_the_disk_is_told() -> None:
    steps = [("scale", StandardScaler()), ("last", LogisticRegression(C=0.5, n_jobs=2))]
    told = hyperparameters(Pipeline(steps, memory="/home/someone/cache"))
    assert (told["last__C"], told["scale__with_mean"]) == ("0.5", "True")
    assert "/home" not in str(told)
    assert "last__n_jobs" not in told


def test_settings_that_are_paths_are_not_told() -> None:
    told = hyperparameters(SimpleImputer(strategy="/home/someone/x", fill_value="C:\\Users\\someone"))
    assert told["keep_empty_features"] == "False"
    assert "someone" not in str(told)


def test_a_model_that_says_nothing_of_itself_has_none() -> None:
    assert hyperparameters(object()) == {}

"""A table with text, whole numbers and gaps, and pipelines over it as people write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from secure_ml_api.packaging.table import Table

CITIES = ("Köln", "New York", "Ōsaka")


def customers(rows: int = 300) -> tuple[pd.DataFrame, Any, Any]:
    """Features (two numbers, one of them with gaps, a text and a code), a class in words and a number to predict."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "income (€)": random.lognormal(10, 0.5, rows),
            "age": random.integers(18, 90, rows).astype(float),
            "city": random.choice(CITIES, rows),
            "plan": random.integers(0, 3, rows).astype(float),
        }
    )
    frame.loc[::17, "age"] = np.nan
    number = np.log(frame["income (€)"]) + 0.3 * frame["plan"] + (frame["city"] == "Köln") + random.normal(0, 0.2, rows)
    return frame, np.where(number > number.median(), "stays", "goes"), number.to_numpy()


def by_column(handle_unknown: str = "error") -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["income (€)", "age"]),
            ("city", OneHotEncoder(handle_unknown=handle_unknown), ["city"]),
            ("plan", OneHotEncoder(), ["plan"]),
        ]
    )


def pipeline(model: Any, handle_unknown: str = "error") -> Pipeline:
    """``model`` behind imputing, scaling and one-hot encoding by column name."""
    return make_pipeline(by_column(handle_unknown), model)


def table(frame: pd.DataFrame) -> Table:
    """``frame`` as packaging holds it."""
    return Table(
        {
            name: frame[name].to_numpy(np.float64 if frame[name].dtype.kind in "fib" else np.object_)
            for name in frame.columns
        }
    )

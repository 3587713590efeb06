"""What training an example gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..packaging.options import Options
from ..packaging.table import Table


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted model with the rows that it is proven on and what is said about it."""

    estimator: Any
    sample: Table
    options: Options

"""What the person who packs a model may say about it beyond what the model knows itself."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..models.manifest import TrainingData
from ..tensors import Task


class Options(BaseModel):
    """All optional; handed to the converting process as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    labels: dict[str, str] = {}
    """Class, as text, → the word for it."""
    bounds: dict[str, tuple[float | None, float | None]] = {}
    """Feature → smallest and largest value that a request may carry; None leaves that side open."""
    task: Task | None = None
    """What the model does, for a model that does not say."""
    target: str | None = None
    """Column of the sample that is no feature but the answer, and is left out."""
    description: str = ""
    metrics: dict[str, float] = {}
    training_data: TrainingData | None = None
    """What the model learnt from."""
    packed_by: str = Field(default="", max_length=200)
    """Who packs it, for its card."""
    architecture: str | None = None
    """The entry point that builds the network whose weights are packed, where these are all that a file holds."""
    parameters: dict[str, JsonValue] = {}
    """Keyword arguments of the architecture."""
    allow_native: bool = False
    """Whether the framework that trained the model may serve it, which the server then needs to have installed."""

"""What the converting process is asked, and the names under which it leaves its answer."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from .options import Options
from .source_file import SourceFormat

JOB_FILE = "job.json"
BLUEPRINT_FILE = "blueprint.json"
REFUSAL_FILE = "refusal.txt"


class Job(BaseModel):
    """Absolute paths of the trained model and of the sample, and what was said about them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: Path
    source_format: SourceFormat
    sample: Path
    options: Options

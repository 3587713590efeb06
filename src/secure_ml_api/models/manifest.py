"""The manifest of a model package: everything that the signature vouches for."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import PackageRefused
from ..tensors import Signature
from .names import PlainName
from .reference import Reference

_Count = Annotated[int, Field(ge=0)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FileRecord(_Frozen):
    """What one file of the package must be: its SHA-256 in hexadecimal and its size in bytes."""

    sha256: _Sha256
    size: _Count

    @classmethod
    def of(cls, data: bytes) -> Self:
        return cls(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


Source = Literal[
    "skops",
    "pickle",
    "joblib",
    "xgboost",
    "lightgbm",
    "keras",
    "torch-export",
    "torch-weights",
    "saved-model",
    "estimator",
]
"""What a model was packed from: a file or folder in one of these formats, or an object in memory."""


class TrainingData(_Frozen):
    """The data that a model learnt from, as whoever packed it tells; ``sha256`` is of its file, if that was given."""

    name: Annotated[str, Field(max_length=200)] = ""
    description: Annotated[str, Field(max_length=2000)] = ""
    licence: Annotated[str, Field(max_length=200)] = ""
    as_of: date | None = None
    """The day of which it is."""
    rows: _Count | None = None
    sha256: _Sha256 | None = None


class Provenance(_Frozen):
    """Where the package comes from."""

    source: Source
    """Format of the trained model that was packed; ``estimator`` for one that was in memory."""
    source_sha256: _Sha256 | None = None
    estimator: str
    """Class of the trained model, for people."""
    graph: str
    """Which of the candidate graphs was kept."""
    libraries: dict[str, str]
    """Versions of the libraries that trained and converted it."""
    hyperparameters: dict[str, str] = {}
    """How it was told to learn, in words."""
    sample_sha256: _Sha256 | None = None
    """Of the file of the sample as it was given, of which a part may be kept; None of one that was in memory."""
    packed_by: Annotated[str, Field(max_length=200)] = ""
    """Who packed it, as they say themselves."""


class ParityReport(_Frozen):
    """How the package was shown to answer as the trained model does."""

    sample_rows: _Count
    """Rows of the sample; the class was equal, and every number within tolerance, on each."""
    generated_rows: _Count
    """Rows made from the sample, by perturbation and by drawing within its range, and compared in the same way."""
    near_ties: _Count
    """Generated rows on which the trained model itself changes its class when its input moves by one float32 step."""
    differing_near_ties: _Count
    """Those of them on which the package's class is not the trained model's; no other row differs."""
    largest_differences: dict[str, float]
    """Largest absolute difference of each output that is a number."""
    relative_tolerance: float
    absolute_tolerance: float


class Timing(_Frozen):
    """Median time of one run of a candidate graph on ``rows`` rows."""

    graph: str
    rows: _Count
    microseconds: float


class Manifest(_Frozen):
    """A package's promises, as stored in ``manifest.json`` and signed byte for byte."""

    format: Literal[1] = 1
    name: PlainName
    version: PlainName
    created: AwareDatetime
    runtime: PlainName
    signature: Signature
    files: dict[PlainName, FileRecord] = Field(min_length=1, max_length=64)
    provenance: Provenance
    parity: ParityReport | None = None
    timings: tuple[Timing, ...] = ()
    description: str = ""
    training_data: TrainingData | None = None
    """None when nothing was said of it."""
    metrics: dict[str, float] = {}
    """Measures of quality that were taken when the model was trained, such as accuracy on held-out rows."""
    max_batch_rows: Annotated[int, Field(ge=1)] | None = None
    """Most rows that a server may merge into one run; None leaves it to the server."""
    batching: Literal["auto", "always", "never"] | None = None
    """Whether concurrent callers' rows may be merged into one run, as in the server's setting of the same words; None
    leaves it to the server. A model whose answer to a row hangs on the others in the run must say never."""
    max_batch_delay_seconds: Annotated[float, Field(ge=0)] | None = None
    """How long a run may wait for more rows to come; None leaves it to the server."""

    reference: Reference | None = None
    """How the features were distributed in the sample, as far as they are numbers that vary; None of a small sample,
    and of packages that were made before there were references."""

    @model_validator(mode="after")
    def _reference_is_of_its_columns(self) -> Self:
        numbers = {column.name for column in self.signature.columns if not column.is_text}
        for feature in self.reference.features if self.reference is not None else ():
            if feature.name not in numbers:
                raise ValueError(f"{feature.name} has a histogram and is no column of numbers")
        return self

    @model_validator(mode="after")
    def _parity_has_its_sample(self) -> Self:
        if self.parity is not None and "sample.npz" not in self.files:
            raise ValueError("a parity report needs the sample that it was made on")
        return self

    def to_json(self) -> bytes:
        """The bytes that are signed: indented JSON, so that people and diffs can read it."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest:
    """The manifest in ``data``; raises PackageRefused naming the first part that is not as it must be."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise PackageRefused(f"manifest.json: {where}: {first['msg']}") from None

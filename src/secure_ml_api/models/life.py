"""What operators have decided about a model beyond which version serves: a small file beside its versions."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import PackageRefused
from .names import LIFE_FILE, PlainName
from .small_file import read_small, write_small

_PARTS = 10_000


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Canary(_Frozen):
    """A version that answers a part of the callers who ask for none in particular.

    It is taken back by itself when, after ``minimum_requests`` of all workers of a machine, more than
    ``max_error_rate`` of them failed, or their mean time exceeds that of the serving version by more than the factor
    ``max_latency_ratio``. ``trial`` is another each time that a canary is set, so that what was seen of one is never
    held against the next; files from before there were trials have none.
    """

    version: PlainName
    percent: Annotated[float, Field(gt=0, le=100)]
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    max_latency_ratio: Annotated[float, Field(gt=0)] | None = None
    minimum_requests: Annotated[int, Field(ge=1)] = 100
    trial: Annotated[str, Field(pattern=r"^[0-9a-f]{0,32}$")] = ""

    @property
    def has_bounds(self) -> bool:
        """Whether anything can make it be taken back."""
        return self.max_error_rate is not None or self.max_latency_ratio is not None


class Life(_Frozen):
    """``unloaded`` models do not serve; ``shadow`` is a version whose answers are compared and never given."""

    unloaded: bool = False
    canary: Canary | None = None
    shadow: PlainName | None = None


def read_life(model_directory: Path) -> Life:
    """As decided; a model of which nothing was said just serves. Raises PackageRefused when the file is spoiled."""
    path = model_directory / LIFE_FILE
    try:
        data = read_small(path)
        return Life() if data is None else Life.model_validate_json(data)
    except (ValidationError, OSError):
        remedy = "remove it, and say again what it said with `models unload`, `canary` or `shadow`"
        raise PackageRefused(f"{path} is not what this program wrote; {remedy}") from None


def write_life(model_directory: Path, life: Life) -> None:
    """Replace the file; a reader sees the old one or the new one, whole."""
    write_small(model_directory / LIFE_FILE, life.model_dump_json(indent=2, exclude_defaults=True).encode() + b"\n")


@lru_cache(maxsize=65536)
def is_in_canary(name: str, caller: str, percent: float) -> bool:
    """Whether ``caller`` belongs to the part of ``percent`` of the callers of ``name``, always the same way.

    The hash is of both names, so that the same callers are not first for every model; a larger part keeps all who were
    in a smaller one.
    """
    digest = hashlib.blake2b(f"{name}\0{caller}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % _PARTS < percent * _PARTS / 100

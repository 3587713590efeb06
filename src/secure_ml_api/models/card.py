"""A model's card: what was found out about a version after it was packed, signed like the package that it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..errors import PackageRefused
from .names import PlainName
from .signing import CARD_DOMAIN, check_signature, read_signing_key, read_verifying_key, sign
from .small_file import read_small, write_small
from .store import Store

# Beside the versions, and hidden, so that it is not taken for one.
_FOLDER = ".cards"
_MOST_EVALUATIONS = 20
_ONCE_MEANS = ("precision", "recall", "f1")


class Compared(BaseModel):
    """How a version did beside the one that served, on the same rows.

    ``difference`` is by how much its ``metric`` exceeded that of the other, with a 95 % interval.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, serialize_by_alias=True)

    served: PlainName = Field(alias="with")
    """The version that served."""
    digest: str
    """Of its package."""
    metric: str
    difference: float
    interval_95: tuple[float, float]
    verdict: Literal["better", "worse", "not distinguishable"]


class Evaluation(BaseModel):
    """One look at a version with data that it was not trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    at: AwareDatetime
    data_sha256: str
    rows: int
    metrics: dict[str, float]
    by_class: dict[str, dict[str, float]] = {}
    positive_class: str | None = None
    """Of two classes, the one that ``precision``, ``recall`` and ``f1`` are of."""
    compared: Compared | None = None
    """None of the version that served itself, and in cards from before comparisons were kept."""

    @field_validator("metrics")
    @classmethod
    def _name_means(cls, metrics: dict[str, float]) -> dict[str, float]:
        """Cards from before means over the classes were called so have them under the names of one class alone."""
        if "accuracy" not in metrics or "f1_macro" in metrics:
            return metrics
        return {f"{name}_macro" if name in _ONCE_MEANS else name: value for name, value in metrics.items()}


class Card(BaseModel):
    """The evaluations of one version, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: PlainName
    version: PlainName
    digest: str
    evaluations: tuple[Evaluation, ...] = Field(default=(), max_length=_MOST_EVALUATIONS)


def read_card(store: Store, name: str, version: str, digest: str) -> Card:
    """The card of the package with ``digest``; an empty one when there is none.

    Raises PackageRefused when it is not signed by the home's key, or is about another package.
    """
    path = _path(store, name, version)
    where = f"the card of {name}/{version}"
    try:
        data, signature = read_small(path), read_small(path.with_suffix(".sig"))
    except OSError as error:
        raise PackageRefused(f"{where} cannot be read ({error.strerror})") from None
    if data is None:
        return Card(name=name, version=version, digest=digest)
    key = read_verifying_key(store.keys_directory)
    check_signature(key, data, signature or b"", CARD_DOMAIN, where)
    try:
        card = Card.model_validate_json(data)
    except ValidationError:
        raise PackageRefused(f"{where} is not what this program wrote; remove {path}") from None
    if (card.name, card.version, card.digest) != (name, version, digest):
        raise PackageRefused(f"{where} is that of another package; remove {path}")
    return card


def add_evaluation(store: Store, card: Card, evaluation: Evaluation) -> Card:
    """``card`` with one evaluation more, signed and in place; raises KeyFileError without the signing key."""
    evaluations = (*card.evaluations, evaluation)[-_MOST_EVALUATIONS:]
    made = card.model_copy(update={"evaluations": evaluations})
    data = made.model_dump_json(indent=2).encode() + b"\n"
    path = _path(store, card.name, card.version)
    path.parent.mkdir(mode=0o755, exist_ok=True)
    signature = sign(read_signing_key(store.keys_directory), data, CARD_DOMAIN)
    write_small(path.with_suffix(".sig"), signature)
    write_small(path, data)
    return made


def metrics_of(store: Store, name: str, version: str) -> dict[str, float]:
    """The metrics that a version was packed with, and over them those of its newest evaluation.

    Raises PackageRefused for a package or a card that does not verify.
    """
    package = store.verify(name, version)
    card = read_card(store, name, version, package.artifact.digest)
    newest = card.evaluations[-1].metrics if card.evaluations else {}
    return {**package.manifest.metrics, **newest}


def _path(store: Store, name: str, version: str) -> Path:
    return store.models_directory / name / _FOLDER / f"{version}.json"

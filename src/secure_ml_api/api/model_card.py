"""A model's card, as its metadata shows it: where it comes from, how it was proved, how good it was found to be."""

from __future__ import annotations

import logging
from typing import Any

from ..errors import OperatorError
from ..models.card import read_card
from ..models.model import Model
from ..models.store import Store

log = logging.getLogger(__name__)


def model_card(model: Model, store: Store) -> dict[str, Any]:
    """The card of ``model`` for programs; evaluations whose file does not verify are left out, and the log says so."""
    manifest = model.manifest
    origin, parity, data = manifest.provenance, manifest.parity, manifest.training_data
    return {
        "version": model.version,
        "digest": model.digest,
        "description": manifest.description,
        "created": manifest.created.isoformat(),
        "task": model.signature.task,
        "runtime": model.runtime,
        "estimator": origin.estimator,
        "hyperparameters": origin.hyperparameters,
        "libraries": origin.libraries,
        "source": origin.source,
        "source_sha256": origin.source_sha256,
        "sample_sha256": origin.sample_sha256,
        "packed_by": origin.packed_by,
        "training_data": None if data is None else data.model_dump(mode="json"),
        "metrics": manifest.metrics,
        "proved_rows": 0 if parity is None else parity.sample_rows + parity.generated_rows,
        "evaluations": _evaluations(model, store),
    }


def _evaluations(model: Model, store: Store) -> list[dict[str, Any]]:
    try:
        card = read_card(store, model.name, model.version, model.digest)
    except OperatorError as refused:
        log.warning("evaluations are not shown: %s", refused, extra={"model": model.name, "version": model.version})
        return []
    return [evaluation.model_dump(mode="json") for evaluation in card.evaluations]

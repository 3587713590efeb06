"""Whether two models give the same answers: classes equal on every row, numbers within stated tolerances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..tensors import Signature, Tensors

# Answers in float32 carry 24 bits, and the sums behind them lose a few more; a wrong conversion is off by far more.
RELATIVE_TOLERANCE = 1e-4
ABSOLUTE_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the answers of one model differ from those of another.

    ``differing``: bool [rows], rows whose class differs or whose numbers are further apart than allowed.
    ``largest_differences``: the largest absolute difference of each tensor of numbers.
    """

    differing: npt.NDArray[np.bool_]
    largest_differences: dict[str, float]


def compare(answers: Tensors, reference: Tensors, signature: Signature) -> Comparison:
    """Compare ``answers`` with ``reference``, both with the same outputs of ``signature``, over the same rows.

    Numbers may differ by RELATIVE_TOLERANCE of the reference plus ABSOLUTE_TOLERANCE, the latter times the largest
    magnitude in the reference when that is above 1. An output of another shape differs on every row.
    """
    rows = len(next(iter(reference.values())))
    differing = np.zeros(rows, dtype=np.bool_)
    largest: dict[str, float] = {}
    for spec in signature.outputs:
        if spec.name not in reference:
            continue
        given, wanted = answers[spec.name], reference[spec.name]
        if given.shape != wanted.shape:
            differing[:] = True
        elif spec.name == "label":
            differing |= given != wanted
        else:
            distance = np.abs(given.astype(np.float64) - wanted)
            scale = max(1.0, float(np.max(np.abs(wanted), initial=0.0)))
            # Written so that a NaN on either side counts as too far.
            close = distance <= RELATIVE_TOLERANCE * np.abs(wanted) + ABSOLUTE_TOLERANCE * scale
            differing |= ~close.reshape(rows, -1).all(axis=1)
            largest[spec.name] = float(np.max(distance, initial=0.0))
    return Comparison(differing, largest)

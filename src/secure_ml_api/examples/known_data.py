"""What the examples learnt from, as their cards tell it."""

from __future__ import annotations

from ..models.manifest import TrainingData

_BSD = "BSD 3-Clause, as part of scikit-learn"
_PUBLIC = "CC BY 4.0 (UCI Machine Learning Repository)"

IRIS = TrainingData(
    name="Iris (R. A. Fisher, 1936)",
    description="150 flowers of three species: lengths and widths of sepals and petals in cm.",
    licence=_PUBLIC,
    rows=150,
)
CANCER = TrainingData(
    name="Breast Cancer Wisconsin (Diagnostic)",
    description="30 measures of the cell nuclei in an image of each of 569 masses, malignant or benign.",
    licence=_PUBLIC,
    rows=569,
)
HOUSING = TrainingData(
    name="Boston housing (Harrison and Rubinfeld, 1978)",
    description="506 census tracts, 12 features, without the column B; no basis for decisions about homes or people.",
    licence=_BSD,
    rows=506,
)
MADE = TrainingData(
    name="Made samples",
    description="Points of five features, drawn from a standard normal distribution with seed 42.",
    rows=1000,
)
DIGITS = TrainingData(
    name="Optical Recognition of Handwritten Digits, as in scikit-learn",
    description="Of 1797 images of 8 × 8 pixels, each 0 to 16, all but every fifth; that measured the accuracy.",
    licence=_PUBLIC,
    rows=1437,
)

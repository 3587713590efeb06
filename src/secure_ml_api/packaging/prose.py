"""Columns of free text: which they are, and texts made from a sample's that no one has thought of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .encoders import chosen_names, unwrapped
from .table import Array

# Characters of one text; a server refuses longer ones. Some fifteen pages.
MOST_CHARACTERS = 32_768
_COUNTERS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
_MOST_WORDS = 60
_ODD = (
    "",
    " ",
    "\t\n",
    "…—!?",
    "İSTANBUL ſtraße ß",
    "日本語のテキスト",
    "naïve café ÀÉÎ",
    "٣٤ ½ x² a_b 0_0",
    "👩‍👩‍👧 ok 🎉",
    "a",
    "\x00 b",
)


def prose_columns(estimator: Any, names: Sequence[str]) -> frozenset[str]:
    """The columns that ``estimator`` reads word by word."""
    estimator = unwrapped(estimator)
    if type(estimator).__name__ in _COUNTERS:
        return frozenset(names)
    found: set[str] = set()
    for _, step, columns in getattr(estimator, "transformers_", []):
        if not isinstance(step, str):
            found |= prose_columns(step, chosen_names(columns, tuple(names)))
    readers = [step for _, step in getattr(estimator, "steps", [])[:1]]
    readers += [step for _, step in getattr(estimator, "transformer_list", [])]
    for step in readers:
        found |= prose_columns(step, names)
    return frozenset(found)


def made_up_texts(random: np.random.Generator, texts: Array, count: int) -> Array:
    """``count`` texts: words of ``texts`` in other orders and cases, no words, odd ones, and a very long text."""
    words = sorted({word for text in texts for word in text.split()}) or ["word"]
    made = np.empty(count, dtype=np.object_)
    for row in range(count):
        picked = [words[index] for index in random.integers(0, len(words), random.integers(0, _MOST_WORDS))]
        if row % 4 == 1:
            picked = [word.upper() if index % 2 else word.title() for index, word in enumerate(picked)]
        if row % 4 == 2:
            picked.insert(len(picked) // 2, _ODD[row // 4 % len(_ODD)])
        made[row] = _ODD[row // 32 % len(_ODD)] if row % 32 == 31 else " ".join(picked)
    made[count // 2] = " ".join(words[index] for index in random.integers(0, len(words), MOST_CHARACTERS))[
        :MOST_CHARACTERS
    ]
    return made

"""What a network is made of, in the few words that a card has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

_MOST_KINDS = 8


def kinds_of(layers: Iterable[object]) -> dict[str, str]:
    """The kinds of ``layers``, the first first, as ``{"layers": "2 × Dense, Add"}``; empty without layers."""
    counted = Counter(type(layer).__name__ for layer in layers)
    kinds = [kind[:20] if count == 1 else f"{count} × {kind[:20]}" for kind, count in counted.items()]
    left_out = ["…"] if len(kinds) > _MOST_KINDS else []
    return {"layers": ", ".join([*kinds[:_MOST_KINDS], *left_out])} if kinds else {}

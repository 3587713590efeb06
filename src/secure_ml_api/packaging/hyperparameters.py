"""How a model was told to learn, as its card shows it."""

from __future__ import annotations

from typing import Any

_MOST = 64
# How it was run and not what it learnt; the place of a cache is a path of whoever trained it.
_ASIDE = frozenset({"memory", "n_jobs", "verbose", "verbosity"})
_MOST_CHARACTERS = 200


def hyperparameters(estimator: Any) -> dict[str, str]:
    """The plain ones among what a scikit-learn estimator, or one in its manner, says of itself; its parts' included.

    Empty for a model that says nothing: this is for people, and no reason not to pack.
    """
    try:
        told = dict(estimator.get_params(deep=True))
    except Exception:  # noqa: BLE001 - an estimator of somebody else's may raise anything
        return {}
    said = {
        name: str(value)
        for name, value in sorted(told.items())
        if isinstance(value, bool | int | float | str)
        and name.rpartition("__")[2] not in _ASIDE
        and _is_no_place(value)
    }
    return {name: value for name, value in list(said.items())[:_MOST] if len(name) + len(value) <= _MOST_CHARACTERS}


def _is_no_place(value: object) -> bool:
    """Whether it cannot be a path, which would tell of whoever trained it."""
    return not isinstance(value, str) or not ("/" in value or value.startswith("~") or value[1:3] == ":\\")

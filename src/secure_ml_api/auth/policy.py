"""Scopes: what they are called, which reach what, and who holds them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import InsufficientScope, OperatorError
from .principal import Principal

MODELS_READ = "models:read"
MODELS_ADMIN = "models:admin"
CLIENTS_ADMIN = "clients:admin"
PREDICT_ANY = "predict:*"
SCOPES = (MODELS_READ, "predict:NAME", PREDICT_ANY, MODELS_ADMIN, CLIENTS_ADMIN)

_SCOPE = re.compile(r"models:read|models:admin|clients:admin|predict:(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,99})")


def require_scope(principal: Principal, *any_of: str) -> None:
    """Raise InsufficientScope, naming the first of ``any_of``, unless the principal holds one of them."""
    if principal.scopes.isdisjoint(any_of):
        raise InsufficientScope(any_of[0])


def predict_scopes(model_name: str) -> tuple[str, str]:
    """The scopes that allow predictions of ``model_name``, whether or not there is such a model."""
    return f"predict:{model_name}", PREDICT_ANY


def is_scope(text: str) -> bool:
    """Whether ``text`` is the name of a scope."""
    return _SCOPE.fullmatch(text) is not None


def parse_scopes(names: Iterable[str]) -> frozenset[str]:
    """The set of ``names``; raises OperatorError, listing what there is, for an empty set or an unknown name."""
    scopes = frozenset(names)
    unknown = sorted(name for name in scopes if not is_scope(name))
    if unknown or not scopes:
        named = f"unknown scope {unknown[0]!r}" if unknown else "no scope was given"
        raise OperatorError(f"{named}; there are {', '.join(SCOPES)}")
    return scopes


def common(first: frozenset[str], second: frozenset[str]) -> frozenset[str]:
    """What both sets reach: ``predict:*`` in one and ``predict:NAME`` in the other leave ``predict:NAME``."""
    return first & second | _within_any(first, second) | _within_any(second, first)


def reaches(held: frozenset[str], asked: frozenset[str]) -> bool:
    """Whether ``held`` covers everything ``asked``."""
    return common(held, asked) == asked


def _within_any(wide: frozenset[str], narrow: frozenset[str]) -> frozenset[str]:
    if PREDICT_ANY not in wide:
        return frozenset()
    return frozenset(scope for scope in narrow if scope.startswith("predict:"))

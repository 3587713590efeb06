"""Refusals carry fixed reasons and safe words."""

from __future__ import annotations

import re

import pytest

from secure_ml_api import errors
from secure_ml_api.errors import InsufficientScope, Misfit, OperatorError, Refusal, SignatureMismatch, TokenRefused


def leaves(kind: type[Exception]) -> list[type[Exception]]:
    """The classes under ``kind`` that have none under them."""
    below = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return below or [kind]


def test_every_refusal_has_a_reason_of_its_own() -> None:
    reasons = [leaf.reason for leaf in leaves(Refusal) if issubclass(leaf, Refusal)]
    assert len(set(reasons)) == len(reasons)
    assert all(re.fullmatch("[a-z_]+", reason) for reason in reasons)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    made = {kind.__name__ for root in (OperatorError, Refusal) for kind in [root, *leaves(root)]}
    assert drawn == made


def test_at_most_a_hundred_misfits_are_kept() -> None:
    assert len(SignatureMismatch("x", [Misfit("y", row=row) for row in range(500)]).misfits) == 100


@pytest.mark.parametrize("cause", ["expired", "revoked", "bad_signature"])
def test_every_cause_of_a_refused_token_has_the_same_words(cause: str) -> None:
    assert TokenRefused(cause).detail == TokenRefused("other").detail
    assert cause not in str(TokenRefused(cause))


def test_the_scope_that_would_do_is_named() -> None:
    assert InsufficientScope("predict:iris").detail == "this request needs the scope predict:iris"

"""Which scope reaches what."""

from __future__ import annotations

import pytest

from secure_ml_api.auth.policy import common, predict_scopes, reaches, require_scope
from secure_ml_api.auth.principal import Principal
from secure_ml_api.errors import InsufficientScope


def principal(*scopes: str) -> Principal:
    return Principal("client", frozenset(scopes), "token", 0, "1/minute", "1/minute", 1)


@pytest.mark.parametrize("held", ["predict:iris", "predict:*"])
def test_prediction_needs_the_models_scope_or_the_one_for_all(held: str) -> None:
    require_scope(principal(held), *predict_scopes("iris"))


@pytest.mark.parametrize(
    "held", [(), ("predict:other",), ("models:read", "models:admin", "clients:admin"), ("predict:iri",)]
)
def test_other_scopes_are_insufficient_and_the_needed_one_is_named(held: tuple[str, ...]) -> None:
    with pytest.raises(InsufficientScope) as caught:
        require_scope(principal(*held), *predict_scopes("iris"))
    assert caught.value.scope == "predict:iris"


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("predict:*", "predict:iris", "predict:iris"),
        ("predict:*", "predict:*", "predict:*"),
        ("predict:* models:read", "predict:iris predict:digits", "predict:iris predict:digits"),
        ("predict:* predict:iris", "predict:iris", "predict:iris"),
        ("predict:iris", "predict:digits", ""),
        ("models:read", "predict:*", ""),
        ("", "models:read", ""),
    ],
)
def test_common_reach_is_what_both_allow(first: str, second: str, both: str) -> None:
    sets = frozenset(first.split()), frozenset(second.split())
    assert common(*sets) == common(*reversed(sets)) == frozenset(both.split())


def test_one_model_does_not_reach_all() -> None:
    assert not reaches(frozenset({"predict:iris"}), frozenset({"predict:*"}))
    assert reaches(frozenset({"predict:*"}), frozenset({"predict:iris", "predict:digits"}))

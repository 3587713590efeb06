"""Verified tokens are found again, and never past their end or their key."""

from __future__ import annotations

from dataclasses import dataclass, field

from secure_ml_api.auth.claims import Claims
from secure_ml_api.auth.verified_tokens import VerifiedTokens


@dataclass
class World:
    """A clock, and the keys that are trusted."""

    now: float = 1000.0
    keys: dict[tuple[str, str], object] = field(default_factory=lambda: {("us", "k1"): "the key"})

    def tokens(self, most: int = 100) -> VerifiedTokens:
        return VerifiedTokens(lambda issuer, kid: self.keys.get((issuer, kid)), most, lambda: self.now)


def claims(expires_at: int = 2000, token_id: str = "t1") -> Claims:
    return Claims("us", "api", "shop", "shop", token_id, 900, expires_at, frozenset({"predict:*"}))


def test_a_token_is_found_again() -> None:
    tokens = World().tokens()
    tokens.keep("a.b.c", "k1", claims(), "the key")
    found = tokens.find("a.b.c")
    assert found is not None
    assert found.claims == claims()
    assert tokens.find("a.b.d") is None


def test_a_token_is_not_found_past_its_end() -> None:
    world = World()
    tokens = world.tokens()
    tokens.keep("a.b.c", "k1", claims(expires_at=2000), "the key")
    world.now = 2000
    assert tokens.find("a.b.c") is None
    assert len(tokens) == 0


def test_a_token_is_not_found_once_its_key_is_retired_or_replaced() -> None:
    for later in (None, "another key of the same name"):
        world = World()
        tokens = world.tokens()
        tokens.keep("a.b.c", "k1", claims(), "the key")
        world.keys["us", "k1"] = later
        assert tokens.find("a.b.c") is None


def test_a_token_that_has_ended_or_has_no_key_is_not_kept() -> None:
    tokens = World().tokens()
    tokens.keep("a.b.c", "k1", claims(expires_at=1000), "the key")
    tokens.keep("a.b.d", "k1", claims(), None)
    assert len(tokens) == 0


def test_no_more_tokens_are_kept_than_agreed_and_the_oldest_goes_first() -> None:
    tokens = World().tokens(most=3)
    for number in range(5):
        tokens.keep(f"a.b.{number}", "k1", claims(token_id=str(number)), "the key")
    assert [tokens.find(f"a.b.{number}") is not None for number in range(5)] == [False, False, True, True, True]


def test_housekeeping_lets_go_of_ended_tokens() -> None:
    world = World()
    tokens = world.tokens()
    tokens.keep("a.b.c", "k1", claims(expires_at=1500), "the key")
    tokens.keep("a.b.d", "k1", claims(expires_at=2500), "the key")
    world.now = 2000
    tokens.forget_ended()
    assert len(tokens) == 1

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.models.names import is_plain, version_order

versions = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)


@pytest.mark.parametrize("name", ["iris", "iris-tree", "1", "2024.02.29", "a_b-c.d", "a" * 64])
def test_plain_names_are_taken(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".hidden", "-x", "_x", "A", "a b", "a/b", "a\\b", "a..b", "../x", "a\n", "a\0", "ä", "１"),
        *("a" * 65, "aliases.json", "manifest.json", "manifest.sig"),
    ],
)
def test_names_that_a_path_could_abuse_or_the_format_needs_are_refused(name: str) -> None:
    assert not is_plain(name)


@given(st.text(max_size=70))
def test_a_plain_name_is_one_path_component_of_harmless_characters(text: str) -> None:
    if is_plain(text):
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        assert not text.startswith(".")
        assert ".." not in text


def test_versions_are_ordered_as_people_count() -> None:
    given_versions = ["10", "9", "1.10", "1.9", "2", "1", "v2", "v10", "2024-02-29", "2024-01-31"]
    expected = ["1", "1.9", "1.10", "2", "9", "10", "2024-01-31", "2024-02-29", "v2", "v10"]
    assert sorted(given_versions, key=version_order) == expected


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_whole_numbers_are_ordered_by_value(left: int, right: int) -> None:
    assert (version_order(str(left)) < version_order(str(right))) == (left < right)


@given(versions, versions)
def test_no_two_different_versions_tie(left: str, right: str) -> None:
    assert (version_order(left) == version_order(right)) == (left == right)


@given(st.lists(versions, unique=True), st.randoms(use_true_random=False))
def test_the_order_does_not_hang_on_the_order_in_which_versions_are_read(some: list[str], random: Random) -> None:
    shuffled = random.sample(some, len(some))
    assert sorted(shuffled, key=version_order) == sorted(some, key=version_order)

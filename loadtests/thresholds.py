"""Thresholds as data, and the one judgement over them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .figures import Figures, by_group, together

DEFAULT_FILE = Path(__file__).with_name("thresholds.toml")


class ThresholdsError(ValueError):
    """The thresholds file does not say what it should; the text names the place."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Inclusive upper bounds: a share of requests, and milliseconds; None bounds nothing."""

    error_rate: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class GroupThreshold:
    """The bounds of a group of requests, and closer ones for single names in it."""

    bounds: Threshold = Threshold()
    requests: Mapping[str, Threshold] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The whole file."""

    overall: Threshold = Threshold()
    groups: Mapping[str, GroupThreshold] = field(default_factory=dict)

    def breaches(self, figures: Sequence[Figures], expected_groups: Iterable[str]) -> list[str]:
        """One line for each threshold that does not hold, with the figure; none when all hold.

        A group of ``expected_groups`` without a single answer is a breach too: silence proves nothing.
        """
        groups = {part.name: part for part in by_group(figures)}
        silent = [group for group in expected_groups if group not in groups or not groups[group].requests]
        found = [f"{group}: no request was answered" for group in silent]
        found += _broken(self.overall, "overall", together("overall", figures))
        for name, threshold in self.groups.items():
            if name in groups and name not in silent:
                found += _broken(threshold.bounds, f"groups.{name}", groups[name])
                found += _broken_requests(threshold.requests, name, figures)
        return found


def read_thresholds(path: Path) -> Thresholds:
    """The thresholds in ``path``; raises ThresholdsError naming what is wrong with it."""
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ThresholdsError(f"{path}: {error}") from None
    _known(tree, {"overall", "groups"}, str(path))
    groups: dict[str, GroupThreshold] = {}
    for name, node in tree.get("groups", {}).items():
        place = f"{path}: groups.{name}"
        _known(node, {"error_rate", "p95_ms", "requests"}, place)
        requests = {
            request: _threshold(inner, f'{place}.requests."{request}"')
            for request, inner in node.pop("requests", {}).items()
        }
        groups[name] = GroupThreshold(_threshold(node, place), requests)
    return Thresholds(_threshold(tree.get("overall", {}), f"{path}: overall"), groups)


def _broken_requests(bounds: Mapping[str, Threshold], group: str, figures: Sequence[Figures]) -> Iterator[str]:
    for name, threshold in bounds.items():
        place = f'groups.{group}.requests."{name}"'
        parts = [part for part in figures if part.name == name]
        if not parts:
            yield f"{place}: no such request was sent"
        yield from _broken(threshold, place, together(name, parts))


def _broken(threshold: Threshold, place: str, figures: Figures) -> Iterator[str]:
    if threshold.error_rate is not None and figures.error_rate > threshold.error_rate:
        yield (
            f"{place}.error_rate: {figures.failures} of {figures.requests} requests failed "
            f"({figures.error_rate:.2%}), at most {threshold.error_rate:.2%} may"
        )
    p95_ms = figures.percentile_ms(0.95)
    if threshold.p95_ms is not None and p95_ms > threshold.p95_ms:
        yield f"{place}.p95_ms: the p95 is {p95_ms} ms, at most {threshold.p95_ms:g} ms is allowed"


def _threshold(node: Any, place: str) -> Threshold:
    _known(node, {"error_rate", "p95_ms"}, place)
    for key, value in node.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ThresholdsError(f"{place}.{key}: a number that is not negative is needed")
    return Threshold(**node)


def _known(node: Any, keys: set[str], place: str) -> None:
    if not isinstance(node, dict):
        raise ThresholdsError(f"{place}: this is a table; write it as [{place.rpartition(' ')[2]}]")
    if unknown := sorted(set(node) - keys):
        raise ThresholdsError(f"{place}: unknown key {unknown[0]}; known are {', '.join(sorted(keys))}")

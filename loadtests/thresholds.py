"""Thresholds as data, and the one judgement over them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .figures import Figures, by_group, together

DEFAULT_FILE = Path(__file__).with_name("thresholds.toml")


class ThresholdsError(ValueError):
    """The thresholds file does not say what it should; the text names the place."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Inclusive bounds, upper ones but for the last: shares of requests, milliseconds, counts; None bounds nothing."""

    error_rate: float | None = None
    p95_ms: float | None = None
    refusal_rate: float | None = None
    lost: float | None = None
    refusals_at_least: float | None = None


@dataclass(frozen=True, slots=True)
class GroupThreshold:
    """The bounds of a group of requests, and closer ones for single names in it."""

    bounds: Threshold = Threshold()
    requests: Mapping[str, Threshold] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShapeThreshold:
    """The bounds of a shape: of its phases by name, of what ends its growth, and of the run as a whole."""

    phases: Mapping[str, Threshold] = field(default_factory=dict)
    stop: Threshold = Threshold()
    recovery_seconds: float | None = None
    memory_growth_mib: float | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The whole file: ``overall`` and ``groups`` bound the plain run, ``shapes`` the others."""

    overall: Threshold = Threshold()
    groups: Mapping[str, GroupThreshold] = field(default_factory=dict)
    shapes: Mapping[str, ShapeThreshold] = field(default_factory=dict)

    def breaches(self, figures: Sequence[Figures], expected_groups: Iterable[str]) -> list[str]:
        """One line for each threshold of a plain run that does not hold, with the figure; none when all hold.

        A group of ``expected_groups`` without a single answer is a breach too: silence proves nothing.
        """
        groups = {part.name: part for part in by_group(figures)}
        silent = [group for group in expected_groups if group not in groups or not groups[group].requests]
        found = [f"{group}: no request was answered" for group in silent]
        found += _broken_at(self.overall, "overall", together("overall", figures))
        for name, threshold in self.groups.items():
            if name in groups and name not in silent:
                found += _broken_at(threshold.bounds, f"groups.{name}", groups[name])
                found += _broken_requests(threshold.requests, name, figures)
        return found


def read_thresholds(path: Path) -> Thresholds:
    """The thresholds in ``path``; raises ThresholdsError naming what is wrong with it."""
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ThresholdsError(f"{path}: {error}") from None
    _known(tree, {"overall", "groups", "shapes"}, str(path))
    groups: dict[str, GroupThreshold] = {}
    for name, node in tree.get("groups", {}).items():
        place = f"{path}: groups.{name}"
        _known(node, {*_KEYS, "requests"}, place)
        requests = {
            request: _threshold(inner, f'{place}.requests."{request}"')
            for request, inner in node.pop("requests", {}).items()
        }
        groups[name] = GroupThreshold(_threshold(node, place), requests)
    shapes = {name: _shape(node, f"{path}: shapes.{name}") for name, node in tree.get("shapes", {}).items()}
    return Thresholds(_threshold(tree.get("overall", {}), f"{path}: overall"), groups, shapes)


def broken(threshold: Threshold, figures: Figures) -> Iterator[tuple[str, str]]:
    """The key of each bound that does not hold, and in words the figure and what is allowed."""
    if threshold.error_rate is not None and figures.error_rate > threshold.error_rate:
        share = f"{figures.failures} of {figures.requests} requests failed ({figures.error_rate:.2%})"
        yield "error_rate", f"{share}, at most {threshold.error_rate:.2%} may"
    p95_ms = figures.percentile_ms(0.95)
    if threshold.p95_ms is not None and p95_ms > threshold.p95_ms:
        yield "p95_ms", f"the p95 is {p95_ms:g} ms, at most {threshold.p95_ms:g} ms is allowed"
    if threshold.refusal_rate is not None and figures.refusal_rate > threshold.refusal_rate:
        share = f"{figures.refused} of {figures.requests} requests were refused ({figures.refusal_rate:.2%})"
        yield "refusal_rate", f"{share}, at most {threshold.refusal_rate:.2%} may be"
    if threshold.lost is not None and figures.lost > threshold.lost:
        yield "lost", f"{figures.lost} requests got no answer at all, at most {threshold.lost:g} may"
    if threshold.refusals_at_least is not None and figures.refused < threshold.refusals_at_least:
        yield "refusals_at_least", f"{figures.refused} requests were refused: the server had room; raise --users"


def _broken_at(threshold: Threshold, place: str, figures: Figures) -> Iterator[str]:
    for key, words in broken(threshold, figures):
        yield f"{place}.{key}: {words}"


def _broken_requests(bounds: Mapping[str, Threshold], group: str, figures: Sequence[Figures]) -> Iterator[str]:
    for name, threshold in bounds.items():
        place = f'groups.{group}.requests."{name}"'
        parts = [part for part in figures if part.name == name]
        if not parts:
            yield f"{place}: no such request was sent"
        yield from _broken_at(threshold, place, together(name, parts))


_KEYS = {each.name for each in fields(Threshold)}
_WHOLE_RUN = {"recovery_seconds", "memory_growth_mib"}


def _shape(node: Any, place: str) -> ShapeThreshold:
    _known(node, {"phases", "stop", *_WHOLE_RUN}, place)
    _numbers({key: value for key, value in node.items() if key in _WHOLE_RUN}, place)
    phases = node.pop("phases", {})
    _known(phases, set(phases), f"{place}.phases")
    read = {name: _threshold(inner, f"{place}.phases.{name}") for name, inner in phases.items()}
    return ShapeThreshold(read, _threshold(node.pop("stop", {}), f"{place}.stop"), **node)


def _threshold(node: Any, place: str) -> Threshold:
    _known(node, _KEYS, place)
    _numbers(node, place)
    return Threshold(**node)


def _numbers(node: Mapping[str, Any], place: str) -> None:
    for key, value in node.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ThresholdsError(f"{place}.{key}: a number that is not negative is needed")


def _known(node: Any, keys: set[str], place: str) -> None:
    if not isinstance(node, dict):
        raise ThresholdsError(f"{place}: this is a table; write it as [{place.rpartition(' ')[2]}]")
    if unknown := sorted(set(node) - keys):
        raise ThresholdsError(f"{place}: unknown key {unknown[0]}; known are {', '.join(sorted(keys))}")

"""All that a registry knows at one moment: which models are loaded, and which of them answers for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

from .aliases import choose_version
from .life import Canary, Life
from .model import Model
from .names import ALIASES_FILE, LIFE_FILE
from .verification import VerifiedPackage

UNLOADED = "unloaded"


@dataclass(frozen=True, slots=True)
class ModelState:
    """One version of a model, for the repository index; ``reason`` is empty when nothing is wrong with it."""

    name: str
    version: str
    state: Literal["READY", "LOADING", "UNAVAILABLE"]
    reason: str


def as_told(state: ModelState, problems: Mapping[str, str]) -> ModelState:
    """``state``, but not ready with a problem of its version, and with that of its model's files as the reason."""
    name, version = state.name, state.version
    if state.reason == UNLOADED:
        return state
    if (reason := problems.get(f"{name}/{version}")) is not None:
        return ModelState(name, version, "UNAVAILABLE", reason)
    files = (f"{name}/", f"{name}/{ALIASES_FILE}", f"{name}/{LIFE_FILE}")
    reason = next((problems[file] for file in files if file in problems), state.reason)
    return ModelState(name, version, state.state, reason)


class CanaryModel(NamedTuple):
    """A canary that is loaded, and what it is to replace, unless nothing serves."""

    model: Model
    rules: Canary
    replaces: Model | None


@dataclass(frozen=True, slots=True)
class Shelf:
    """Never changed, only replaced, so that readers need no lock."""

    models: Mapping[str, Mapping[str, Model]]
    serving: Mapping[str, str]
    aliases: Mapping[str, Mapping[str, str]]
    waiting: Mapping[tuple[str, str], VerifiedPackage]
    problems: Mapping[str, str]
    known: Mapping[str, frozenset[str]]
    lives: Mapping[str, Life]
    answering: Mapping[tuple[str, str | None], Model]
    """By name and version or alias, and without one the model that serves."""
    canaries: Mapping[str, CanaryModel]
    shadows: Mapping[str, Model]
    has_trials: bool

    @property
    def unready(self) -> tuple[str, ...]:
        """Models that should serve, and of which no version does."""
        return tuple(sorted(name for name in self.known if name not in self.serving and not self.lives[name].unloaded))

    def state(self, name: str, version: str) -> ModelState:
        if version in self.models[name]:
            return ModelState(name, version, "READY", "")
        if (name, version) in self.waiting:
            return ModelState(name, version, "LOADING", "")
        reason = UNLOADED if self.lives[name].unloaded else self.problems.get(f"{name}/{version}", "")
        return ModelState(name, version, "UNAVAILABLE", reason)


@dataclass(slots=True)
class Draft:
    """A shelf while it is being put together."""

    models: dict[str, dict[str, Model]] = field(default_factory=dict)
    aliases: dict[str, dict[str, str]] = field(default_factory=dict)
    waiting: dict[tuple[str, str], VerifiedPackage] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    known: dict[str, set[str]] = field(default_factory=dict)
    lives: dict[str, Life] = field(default_factory=dict)

    @classmethod
    def of(cls, shelf: Shelf) -> Draft:
        return cls(
            models={name: dict(versions) for name, versions in shelf.models.items()},
            aliases={name: dict(aliases) for name, aliases in shelf.aliases.items()},
            waiting=dict(shelf.waiting),
            problems=dict(shelf.problems),
            known={name: set(versions) for name, versions in shelf.known.items()},
            lives=dict(shelf.lives),
        )

    def forget(self, name: str) -> None:
        """Know nothing of ``name`` any more."""
        for known in (self.models, self.aliases, self.known, self.lives):
            known.pop(name, None)
        self.waiting = {where: package for where, package in self.waiting.items() if where[0] != name}
        self.problems = {where: what for where, what in self.problems.items() if where.partition("/")[0] != name}

    def shelf(self) -> Shelf:
        """What is known now, with what follows from it."""
        serving = {name: choose_version(versions, self.aliases.get(name, {})) for name, versions in self.models.items()}
        canaries, shadows = self._canaries(serving), self._shadows(serving)
        return Shelf(
            models=MappingProxyType({name: MappingProxyType(versions) for name, versions in self.models.items()}),
            serving=MappingProxyType({name: version for name, version in serving.items() if version is not None}),
            aliases=MappingProxyType(self.aliases),
            waiting=MappingProxyType(self.waiting),
            problems=MappingProxyType(self.problems),
            known=MappingProxyType({name: frozenset(versions) for name, versions in self.known.items()}),
            lives=MappingProxyType({name: self.lives.get(name, Life()) for name in self.known}),
            answering=MappingProxyType(self._answering(serving)),
            canaries=MappingProxyType(canaries),
            shadows=MappingProxyType(shadows),
            has_trials=bool(canaries or shadows),
        )

    def _answering(self, serving: Mapping[str, str | None]) -> dict[tuple[str, str | None], Model]:
        answering: dict[tuple[str, str | None], Model] = {}
        for name, versions in self.models.items():
            # A version is found under its own name even where an alias is called the same.
            called = self.aliases.get(name, {}) | {version: version for version in versions}
            answering |= {(name, asked): versions[found] for asked, found in called.items() if found in versions}
            if (version := serving[name]) is not None:
                answering[name, None] = versions[version]
        return answering

    def _canaries(self, serving: Mapping[str, str | None]) -> dict[str, CanaryModel]:
        """Those that are loaded and not what serves already."""
        found = {}
        for name, life in self.lives.items():
            canary, version = life.canary, serving.get(name)
            if canary is not None and canary.version != version:
                models = self.models.get(name, {})
                model = models.get(canary.version)
                if model is not None:
                    found[name] = CanaryModel(model, canary, None if version is None else models[version])
        return found

    def _shadows(self, serving: Mapping[str, str | None]) -> dict[str, Model]:
        return {
            name: self.models[name][life.shadow]
            for name, life in self.lives.items()
            if life.shadow is not None and life.shadow != serving.get(name) and life.shadow in self.models.get(name, {})
        }

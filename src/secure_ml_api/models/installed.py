"""The runtimes of this installation: the built-in ones, and those that others wrote and the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from ..errors import SettingsError
from ..runtimes.protocol import Runtime
from .model import RUNTIMES, built_in
from .names import is_plain

GROUP = "secure_ml_api.runtimes"
"""Entry points by the name of the runtime; each leads to its class, or to anything that makes one when it is called."""


def installed(allowed: Sequence[str] = (), architectures: Sequence[str] = ()) -> tuple[Runtime, ...]:
    """The built-in runtimes and those of installed distributions whose names are in ``allowed``.

    PyTorch may build the ``architectures`` and no others.
    Nothing of a distribution is imported unless its runtime is named. Raises SettingsError for a name that is built in,
    is not installed, is installed twice, or leads to something else than a runtime.
    """
    ours = built_in(architectures) if architectures else RUNTIMES
    names = {runtime.name for runtime in ours}
    return (*ours, *(_loaded(name, names) for name in dict.fromkeys(allowed)))


def _loaded(name: str, ours: set[str]) -> Runtime:
    where = f"inference.runtimes: {name!r}"
    if name in ours:
        raise SettingsError(f"{where} is built in and cannot be replaced; leave it out")
    if not is_plain(name):
        raise SettingsError(f"{where} cannot be the name of a runtime")
    found = tuple(entry_points(group=GROUP, name=name))
    if not found:
        raise SettingsError(f"{where} is not installed: no distribution has that entry point in the group {GROUP}")
    if len(found) > 1:
        raise SettingsError(f"{where} is offered by {_offered_by(found)}; uninstall all but one")
    try:
        made = found[0].load()
        runtime = made() if callable(made) else made
        fits = runtime.name == name and isinstance(runtime.fork_safe, bool) and callable(runtime.load)
        fits = fits and isinstance(getattr(runtime, "framework", ""), str)
    except Exception as error:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise SettingsError(f"{where} of {_offered_by(found)} does not load ({cause})") from error
    if not fits:
        raise SettingsError(f"{where} of {_offered_by(found)} is no runtime of that name; see docs/runtimes.md")
    checked: Runtime = runtime
    return checked


def _offered_by(found: Sequence[EntryPoint]) -> str:
    return ", ".join(sorted(point.dist.name if point.dist is not None else point.value for point in found))

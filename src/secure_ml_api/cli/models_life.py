"""``models load``, ``unload``, ``canary``, ``shadow`` and ``alias``: what is decided about a model while it serves."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import click

from ..settings import Settings
from .common import home_option, json_option, load, say

# Workers load one after the other.
_PATIENCE_SECONDS = 120.0


class _FiniteRange(click.FloatRange):
    """A range without the NaN and the infinities that click takes for numbers."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Effect(NamedTuple):
    """When a decision takes effect, in words and for programs."""

    words: str
    told: dict[str, Any]


def take_effect(settings: Settings, name: str) -> Effect:
    """Let the server that runs on this home, if one does, take what was decided about ``name``.

    Raises HomeError when a worker has not done so in two minutes, or with what a worker found wrong.
    """
    from ..errors import HomeError
    from ..models.changes import Changes

    changes = Changes(settings.run_directory)
    if not changes.reports():
        return Effect("from the next start on", {"workers": 0})
    reports = changes.wait(changes.announce(name), time.monotonic() + _PATIENCE_SECONDS)
    if reports is None:
        raise HomeError(f"it is decided, but not every worker has taken it in {_PATIENCE_SECONDS:.0f} s; see the log")
    wrong = {what for report in reports for where, what in report.problems.items() if where.startswith(f"{name}/")}
    if wrong:
        raise HomeError(f"it is decided, and the server says: {min(wrong)}")
    return Effect(f"on all workers now ({len(reports)})", {"workers": len(reports)})


@click.command("load")
@click.argument("name")
@home_option
@json_option
def load_model(name: str, home: Path, as_json: bool) -> None:
    """Let NAME serve, with the versions that the home holds now, in a server that runs on it."""
    from .models import change

    change(home, "model.load", name, None, lambda store: store.load(name))
    effect = take_effect(load(home), name)
    say({"name": name, "load": True, **effect.told}, as_json, [f"{name} serves {effect.words}"])


@click.command("unload")
@click.argument("name")
@home_option
@json_option
def unload_model(name: str, home: Path, as_json: bool) -> None:
    """Let NAME not serve, also after a restart, until `models load`."""
    from .models import change

    change(home, "model.unload", name, None, lambda store: store.unload(name))
    effect = take_effect(load(home), name)
    say({"name": name, "unload": True, **effect.told}, as_json, [f"{name} does not serve {effect.words}"])


@click.command("canary")
@click.argument("name")
@click.argument("version", required=False)
@click.option("--percent", type=_FiniteRange(0, 100, min_open=True), default=10.0, show_default=True)
@click.option("--max-error-rate", type=_FiniteRange(0, 1), help="Taken back when more of its requests fail.")
@click.option(
    "--max-latency-ratio",
    type=_FiniteRange(0, min_open=True),
    help="Taken back when it takes so many times as long as what serves; needs a percentage below 100.",
)
@click.option(
    "--minimum-requests",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Of all workers of a machine together, before anything is judged.",
)
@click.option("--off", is_flag=True, help="End it: what serves answers everyone.")
@home_option
@json_option
def canary(
    *,
    name: str,
    version: str | None,
    percent: float,
    max_error_rate: float | None,
    max_latency_ratio: float | None,
    minimum_requests: int,
    off: bool,
    home: Path,
    as_json: bool,
) -> None:
    """Let VERSION of NAME answer a part of the callers who ask for no version, always the same ones.

    With a bound the server ends it by itself when the bound is passed. Each time that this is said, a new trial begins.
    """
    from ..models.life import Canary
    from ..models.names import is_plain
    from .models import change

    _one_of(version, off)
    if version is not None and not is_plain(version):
        raise click.BadParameter(f"{version!r} is not a version that a package can have", param_hint="VERSION")
    if max_latency_ratio is not None and percent == 100:
        raise click.UsageError(
            "a canary of all callers leaves nothing to compare its time with; give --percent below 100"
        )
    rules = None
    if version is not None:
        rules = Canary(
            version=version,
            percent=percent,
            max_error_rate=max_error_rate,
            max_latency_ratio=max_latency_ratio,
            minimum_requests=minimum_requests,
        )
    change(home, "model.canary", name, version, lambda store: store.set_canary(name, rules))
    _warn_if_it_serves(home, name, version)
    effect = take_effect(load(home), name)
    what = f"{name}/{version} answers {percent:g} % of the callers" if version else f"{name} has no canary"
    canary_told = rules.model_dump(exclude={"trial"}) if rules else None
    say({"name": name, "canary": canary_told, **effect.told}, as_json, [f"{what} {effect.words}"])


@click.command("shadow")
@click.argument("name")
@click.argument("version", required=False)
@click.option("--off", is_flag=True, help="End it.")
@home_option
@json_option
def shadow(name: str, version: str | None, off: bool, home: Path, as_json: bool) -> None:
    """Let VERSION of NAME answer what the serving version answers, to be compared and counted, and never given."""
    from .models import change

    _one_of(version, off)
    change(home, "model.shadow", name, version, lambda store: store.set_shadow(name, version))
    _warn_if_it_serves(home, name, version)
    effect = take_effect(load(home), name)
    what = f"{name}/{version} stands in the shadow of what serves" if version else f"{name} has no shadow"
    say({"name": name, "shadow": version, **effect.told}, as_json, [f"{what} {effect.words}"])


@click.command("alias")
@click.argument("name")
@click.argument("alias")
@click.argument("version", required=False)
@click.option("--off", is_flag=True, help="Take the alias away.")
@home_option
@json_option
def alias(*, name: str, alias: str, version: str | None, off: bool, home: Path, as_json: bool) -> None:
    """Let callers ask for VERSION of NAME by the word ALIAS, such as `candidate`, wherever a version can stand."""
    from .models import change

    _one_of(version, off)
    aliases = change(home, "model.alias", name, version, lambda store: store.set_alias(name, alias, version))
    effect = take_effect(load(home), name)
    what = f"{name}/{alias} is {name}/{version}" if version else f"{name} has no alias {alias}"
    say({"name": name, "aliases": aliases, **effect.told}, as_json, [f"{what} {effect.words}"])


def _one_of(version: str | None, off: bool) -> None:
    if (version is None) is not off:
        raise click.UsageError("name a version, or give --off")


def _warn_if_it_serves(home: Path, name: str, version: str | None) -> None:
    from .models import serving_version, store_of

    if version is not None and version == serving_version(store_of(home), name):
        words = "is what serves; its trial begins when another version is promoted"
        click.echo(f"secure-ml-api: warning: {name}/{version} {words}", err=True)


COMMANDS = (load_model, unload_model, canary, shadow, alias)

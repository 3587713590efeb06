"""``--if``: what must hold for the metrics of a package before it is promoted."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping

import click

from ..errors import PackageRefused

_CONDITION = re.compile(r"\s*([A-Za-z0-9_. -]+?)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*")
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def require(conditions: Iterable[str], where: str, metrics: Mapping[str, float]) -> None:
    """Raise PackageRefused, with what the metric is, unless all ``conditions`` hold; BadParameter for no condition."""
    for condition in conditions:
        match = _CONDITION.fullmatch(condition)
        try:
            wanted = float(match[3]) if match else None
        except ValueError:
            wanted = None
        if match is None or wanted is None:
            raise click.BadParameter(f"{condition!r} is not like accuracy>=0.95", param_hint="--if")
        metric, comparison = match[1], match[2]
        value = metrics.get(metric)
        if value is None:
            known = ", ".join(sorted(metrics)) or "none"
            raise PackageRefused(f"{where} has no metric {metric!r} (it has {known}); not promoted")
        if not _HOLDS[comparison](value, wanted):
            raise PackageRefused(f"{where} has {metric} = {value:g}, and {condition.strip()} is asked; not promoted")

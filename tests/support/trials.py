"""A model on trial: three versions of which the first serves, and what workers see of a canary."""

from __future__ import annotations

from pathlib import Path

from secure_ml_api.inference.canary_watch import CanaryWatch
from secure_ml_api.models.life import Canary
from secure_ml_api.models.registry import Registry
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.protocol import Runtime
from support.packages import publish, store_in


def three_versions(home: Path) -> Store:
    """Of ``tiny``: the first serves, the second weighs otherwise, the third as the first does."""
    made = store_in(home)
    publish(made, version="1")
    publish(made, version="2", weights=(3.0, 4.0))
    publish(made, version="3")
    made.promote("tiny", "1")
    return made


def serving(store: Store, *runtimes: Runtime) -> Registry:
    """The warm registry of a worker, which knows ``runtimes`` or, without any, all that are built in."""
    registry = Registry(store, runtimes=runtimes)
    registry.load()
    registry.warm_up()
    return registry


def try_out(store: Store, **rules: float) -> None:
    store.set_canary("tiny", Canary.model_validate({"version": "2", "percent": 50.0, "minimum_requests": 10, **rules}))


def see(registry: Registry, seen: CanaryWatch, version: str, times: int, seconds: float = 0.01, **how: bool) -> None:
    for _ in range(times):
        seen.saw(registry.resolve("tiny", version), seconds, failed=how.get("failed", False))


def reasons(seen: CanaryWatch) -> list[str]:
    return [verdict.reason for verdict in seen.verdicts()]

"""What the steps of the spine work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from ..access_sections import QuotasSettings
from ..audit.trail import AuditTrail
from ..auth.authenticator import Authenticator
from ..models.registry import Registry
from ..quota.limiter import Limiter
from ..telemetry.metrics import Metrics
from .call import Call, Visit
from .canary_watch import CanaryWatch
from .drift import Drift
from .reception import Reception
from .runner import Runner
from .shadows import Shadows

Steps: TypeAlias = "tuple[Callable[[Call, Services], None], ...]"
Guard: TypeAlias = "tuple[Callable[[Visit, Services], None], ...]"


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms below, built once per server and shared by both doors."""

    authenticator: Authenticator
    limiter: Limiter
    registry: Registry
    runner: Runner
    metrics: Metrics
    audit: AuditTrail
    quotas: QuotasSettings
    max_rows: int
    body_limit_bytes: int
    steps: Steps
    """Those of the spine, in their order."""
    guard: Guard
    """Those of every other route that is not public."""
    reception: Reception = field(default_factory=Reception)
    drift: Drift = field(default_factory=Drift)
    shadows: Shadows = field(init=False)
    canaries: CanaryWatch = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shadows", Shadows(self.registry, self.metrics))
        object.__setattr__(self, "canaries", CanaryWatch(self.registry))

"""skops, which reads and writes scikit-learn's estimators without pickle, and nothing that it would bring along."""

from __future__ import annotations

import sys
from typing import Any

from .libraries import for_good

# skops looks for estimators in all of scikit-learn's modules, and this one imports PyTorch where it is installed: a
# second and a half and 180 MiB, in every server and every packing process, for no estimator at all.
_NEEDLESS = "sklearn.externals.array_api_compat.torch"


def skops_io() -> Any:
    """The module ``skops.io``; raises ImportError where it is not installed."""
    is_hidden = _NEEDLESS not in sys.modules
    if is_hidden:
        sys.modules[_NEEDLESS] = None  # type: ignore[assignment]  # who imports it is told that there is none
    try:
        with for_good():
            import skops.io
    finally:
        if is_hidden:
            sys.modules.pop(_NEEDLESS, None)
    return skops.io

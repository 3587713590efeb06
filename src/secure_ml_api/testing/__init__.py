"""For those who write a runtime: the suite that every runtime passes. It needs pytest, which serving does not.

class TestMine(RuntimeContract):
    runtime = MyRuntime()
    files = {"weights.json": b"[1, 2]"}
"""

import pytest

# Before the import, so that what fails is told in full.
pytest.register_assert_rewrite("secure_ml_api.testing.runtimes")

from .runtimes import ROWS, SIGNATURE, WEIGHTS, RuntimeContract  # noqa: E402

__all__ = ["ROWS", "SIGNATURE", "WEIGHTS", "RuntimeContract"]

"""What a model held, back to whom it came from."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress


def give_memory_back() -> None:
    """Memory that nothing uses any more goes back to the system and to the GPU.

    The C library, and PyTorch of a GPU's memory, would keep it for later. PyTorch is asked only where a model has
    brought it here.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

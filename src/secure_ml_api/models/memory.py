"""What a model held, back to whom it came from."""

from __future__ import annotations

import ctypes
import gc
import mmap
import sys
from contextlib import suppress

# What is larger the C library never takes from its heap, so that advice about it ends with it.
_LARGE_BYTES = 32 * 1024 * 1024

_advise = ctypes.CDLL(None).madvise
_advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def use_large_pages(memory: memoryview) -> None:
    """Let ``memory``, if it is large and nothing was written there yet, be of large pages where the system has them.

    They are given back twenty times as fast, and as long as that takes Python keeps the interpreter from all others.
    """
    if len(memory) > _LARGE_BYTES:
        begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
        _advise(first, (begin + len(memory) - first) // mmap.PAGESIZE * mmap.PAGESIZE, mmap.MADV_HUGEPAGE)


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

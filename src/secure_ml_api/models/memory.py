"""Memory that models hold: in large pages where it is much, and back to whom it came from when they go."""

from __future__ import annotations

import ctypes
import gc
import mmap
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Model

# What is larger the C library never takes from its heap, so that advice about it ends with it.
_LARGE_BYTES = 32 * 1024 * 1024
# Of x86-64, and of arm64 with pages of 4 KiB; elsewhere the kernel does what it can with the part that it is told of.
_LARGE_PAGE_BYTES = 2 * 1024 * 1024
# Linux 6.1, madvise(2); Python has no name for it yet.
_MADV_COLLAPSE = 25
# Nobody else has the CPU while the kernel copies a page, nor the interpreter while a model goes.
_BREATH_SECONDS = 0.001
_MAPS = Path("/proc/self/maps")
# Private memory that may be written and belongs to no file, as proc_pid_maps(5) has it.
_ANONYMOUS = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0 *$", re.MULTILINE)

# Runtimes whose models go with the last reference to them; a module of PyTorch's or TensorFlow's may hold itself.
_WITHOUT_CYCLES = frozenset({"onnx", "sklearn", "xgboost", "lightgbm"})

_Piece = tuple[int, int]
"""Where it begins and ends, in bytes."""

_advise = ctypes.CDLL(None).madvise
_advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_look = ctypes.CDLL(None).mincore
_look.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)


def use_large_pages(memory: memoryview) -> None:
    """Let ``memory``, if it is large and nothing was written there yet, be of large pages where the system has them.

    They are given back twenty times as fast, and as long as that takes Python keeps the interpreter from all others.
    """
    if len(memory) > _LARGE_BYTES:
        begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
        _advise(first, (begin + len(memory) - first) // mmap.PAGESIZE * mmap.PAGESIZE, mmap.MADV_HUGEPAGE)


@contextmanager
def into_large_pages() -> Iterator[None]:
    """What is allocated meanwhile, by whichever library, is in large pages afterwards if it is large.

    The contents stay what they are; copying a GiB takes a second or two, without the interpreter. A system that has
    no large pages, or none left, leaves things as they are.
    """
    before = _large_pieces()
    yield
    for begin, end in _parts_outside(before, _large_pieces()):
        if end - begin >= _LARGE_BYTES // 2:
            first = -(-begin // _LARGE_PAGE_BYTES) * _LARGE_PAGE_BYTES
            for page in range(first, end - _LARGE_PAGE_BYTES + 1, _LARGE_PAGE_BYTES):
                if _is_used(page):
                    _advise(page, _LARGE_PAGE_BYTES, _MADV_COLLAPSE)
                    time.sleep(_BREATH_SECONDS)


def _is_used(page: int) -> bool:
    """Whether all of a large page is in memory: what a library has only reserved must not be taken for it."""
    small = ctypes.create_string_buffer(_LARGE_PAGE_BYTES // mmap.PAGESIZE)
    return _look(page, _LARGE_PAGE_BYTES, small) == 0 and b"\0" not in small.raw


def _large_pieces() -> list[_Piece]:
    """The large pieces of memory of this process that belong to no file."""
    with suppress(OSError):
        found = [(int(begin, 16), int(end, 16)) for begin, end in _ANONYMOUS.findall(_MAPS.read_text())]
        return [(begin, end) for begin, end in found if end - begin >= _LARGE_BYTES]
    return []


def _parts_outside(before: list[_Piece], pieces: list[_Piece]) -> list[_Piece]:
    """The parts of ``pieces`` that are in none of those of ``before``: the kernel tells neighbours as one piece."""
    for old_begin, old_end in before:
        parts = [((begin, min(end, old_begin)), (max(begin, old_end), end)) for begin, end in pieces]
        pieces = [(begin, end) for part in parts for begin, end in part if begin < end]
    return pieces


def let_go(held: list[Model]) -> None:
    """Empty ``held``, whose members nothing else holds, one by one, and give back what they took."""
    thoroughly = any(model.runtime not in _WITHOUT_CYCLES and model.is_frozen for model in held)
    while held:
        held.pop()
        time.sleep(_BREATH_SECONDS)
    give_memory_back(thoroughly=thoroughly)


def give_memory_back(*, thoroughly: bool = False) -> None:
    """Memory that nothing uses any more goes back to the system and to the GPU.

    ``thoroughly`` also from objects that hold each other and were there when a framework was imported; that takes the
    interpreter for as long as it takes to look through all that is there, 0.1 to 0.3 s. The C library, and PyTorch of
    a GPU's memory, would keep what is free for later. PyTorch is asked only where a model has brought it here.
    """
    if thoroughly:
        gc.unfreeze()
    gc.collect()
    if thoroughly:
        gc.freeze()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

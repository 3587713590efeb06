"""The numbers of this process in the metrics files of its slot, each written in place.

prometheus_client leaves it to a *value class* where a number lives. Its own class for files looks a number's place up
and packs bytes with every change, in some ten calls: that was a third of all the Python that a prediction ran. A cell
knows its place, and a change is an addition in mapped memory. The files are laid out by prometheus_client's own code,
and read by its ``multiprocess``.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client.mmap_dict import MmapedDict, mmap_key

_DOUBLE_BYTES = 8


class Cell:
    """One number of one series; what prometheus_client calls a value class. Safe to share by threads."""

    _multiprocess = True  # as prometheus_client asks of a value class

    __slots__ = ("_at", "_doubles", "_key", "_kind")

    def __init__(  # noqa: PLR0917 — as prometheus_client calls it
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Any,
        labelvalues: Any,
        help_text: str,
        multiprocess_mode: str = "",
        **_: Any,
    ) -> None:
        self._kind = f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ
        self._key: str = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
        self._doubles: memoryview[float]
        self._at: int
        with _lock:
            if _files is None:
                raise RuntimeError("write_to says where the files are, and comes first")
            _cells.append(self)
            self.find_place(_files)

    def inc(self, amount: float) -> None:
        """Add ``amount``."""
        with _lock:
            self._doubles[self._at] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Make the number ``value``; no metric here is of the kind that needs the time of its change."""
        with _lock:
            self._doubles[self._at] = value

    def get(self) -> float:
        """The number of this process alone."""
        with _lock:
            number: float = self._doubles[self._at]
            return number

    def set_exemplar(self, exemplar: object) -> None:
        """Exemplars are not kept in files."""

    def get_exemplar(self) -> None:
        """There is none."""

    def find_place(self, files: _Files) -> None:
        """Live in ``files`` from now on, with what they hold; to be called under the lock."""
        self._doubles, self._at = files.place(self._kind, self._key)


class _Files:
    """The open files of one writer, one for each kind of metric."""

    def __init__(self, directory: Path, writer: str) -> None:
        self._directory = directory
        self._writer = writer
        self._open: dict[str, MmapedDict] = {}
        self._views: dict[int, memoryview[float]] = {}

    def place(self, kind: str, key: str) -> tuple[memoryview[float], int]:
        """The doubles of the file for ``kind``, and which of them is the number called ``key``; made when it is new."""
        file = self._open.get(kind)
        if file is None:
            path = self._directory / f"{kind}_{self._writer}.db"
            file = self._open[kind] = MmapedDict(str(path))  # type: ignore[no-untyped-call]
        file.read_value(key)  # type: ignore[no-untyped-call]
        mapped = file._m  # noqa: SLF001 — another one after the file has grown, over the same bytes
        if id(mapped) not in self._views:
            self._views[id(mapped)] = memoryview(mapped).cast("d")
        return self._views[id(mapped)], file._positions[key] // _DOUBLE_BYTES  # noqa: SLF001

    def close(self) -> None:
        """Close the files, once no cell is in them any more."""
        for view in self._views.values():
            view.release()
        for file in self._open.values():
            file.close()  # type: ignore[no-untyped-call]


_lock = Lock()
_cells: list[Cell] = []
_files: _Files | None = None


def write_to(directory: Path, writer: str) -> None:
    """From now on the numbers of this process are those in the files of ``writer`` under ``directory``."""
    global _files
    with _lock:
        before, _files = _files, _Files(directory, writer)
        for cell in _cells:
            cell.find_place(_files)
        if before is not None:
            before.close()


def forget_all() -> None:
    """Close the files and let go of every cell; for tests, in which more than one server lives in a process."""
    global _files
    with _lock:
        _cells.clear()
        if _files is not None:
            _files.close()
            _files = None

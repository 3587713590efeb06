"""What gunicorn calls at the turns of a worker's life: its slot is chosen, taken, and given back."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import Any

from ..telemetry import slots
from .arbiter import hear_signals
from .board import MAX_SLOTS

logger = logging.getLogger(__name__)


def pre_fork(server: Any, worker: Any) -> None:
    """In the master: the new worker gets the lowest slot that no living worker has."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in range(MAX_SLOTS) if slot not in taken)
    worker.begun_at = time.monotonic()
    server.app.board.mark_starting(worker.slot)
    slots.prepare_slot(worker.slot)


def post_fork(server: Any, worker: Any) -> None:  # noqa: ARG001 — gunicorn's signature
    """In the worker, before anything else of ours."""
    slots.take_slot(worker.slot)


def post_worker_init(worker: Any) -> None:
    """In the worker, before its first request.

    Gunicorn takes a worker that cannot start for a reason to stop the whole server. That is right at the start of the
    server and wrong later, when its siblings serve: then the worker leaves and is tried again.
    """
    finishes = signal.signal(signal.SIGTERM, _leave_at_once)
    hear_signals()
    try:
        worker.app.start_worker(worker.slot)
    except Exception:
        if not worker.app.board.has_served:
            raise
        logger.exception("a worker could not start and will be tried again")
        time.sleep(1)
        sys.exit(1)
    signal.signal(signal.SIGTERM, finishes)
    signal.siginterrupt(signal.SIGTERM, False)  # as gunicorn has it: no system call of native code is cut short by it
    worker.app.board.mark_serving(worker.slot)


def _leave_at_once(sign: int, frame: object) -> None:  # noqa: ARG001 — a handler's signature
    """A worker that only begins has nothing to finish, and need not import and load to the end."""
    os._exit(0)


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001 — gunicorn's signature
    """In the worker, after its last request. (Gunicorn also calls it in the master, for a worker long gone.)"""
    if os.getpid() != worker.pid or not worker.booted:
        return
    worker.app.stop_worker()
    # Native libraries have threads in the master that no worker inherits; at a regular exit their destructors try to
    # join them and abort the process. All that had to be written is written.
    sys.stdout.flush()
    os._exit(0)


def child_exit(server: Any, worker: Any) -> None:
    """In the master, after a worker died in whatever way: what it held is free again."""
    server.app.board.clear(worker.slot)
    slots.forget_slot(worker.slot)
    server.app.drop_slot(worker.slot)
    server.count_end(worker.pid)

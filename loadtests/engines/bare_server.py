"""``python -m loadtests.engines.bare_server HOME PORT METRICS_PORT``: the bare answer behind this project's server."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from secure_ml_api.server.application import serve
from secure_ml_api.server.program import Program
from secure_ml_api.settings import read_settings

from .bare import wsgi


def _nothing(*_: Any) -> None:
    """The bare answer has no life of its own."""


def main() -> None:
    home, port, metrics_port = sys.argv[1:]
    ports = {"port": int(port), "metrics_port": int(metrics_port), "workers": 1}
    program = Program(
        create=lambda settings: wsgi,
        start_worker=_nothing,
        begin_drain=_nothing,
        stop_worker=_nothing,
        drop_slot=_nothing,
        exposition=lambda app: (b"", "text/plain"),
        takes_in_place=lambda app, method, path, body_bytes: True,
    )
    serve(partial(read_settings, Path(home), server=ports), _nothing, program)


if __name__ == "__main__":
    main()

"""What WSGI servers import: ``secure_ml_api.wsgi:make_app()``. The packaged ``serve`` command uses the same factory."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from .app import create_app
from .settings import DEFAULT_HOME, HOME_VARIABLE, read_settings


def make_app() -> Flask:
    """The application of the home that the environment names."""
    return create_app(read_settings(Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)))

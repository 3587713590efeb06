"""``openapi``: the document, without a server."""

from __future__ import annotations

from pathlib import Path

import click

from .common import home_option, json_option, load
from .output import echo


@click.command("openapi")
@home_option
@json_option
def command(home: Path, as_json: bool) -> None:  # noqa: ARG001 - it is JSON either way
    """Print the OpenAPI 3.1 document, with a typed schema for each model of the home."""
    import json

    from ..api.openapi import build_document
    from ..models.registry import Registry
    from ..models.store import Store

    settings = load(home)
    registry = Registry(Store.of(settings))
    registry.load()
    echo(json.dumps(build_document(registry.serving(), settings.inference.max_rows), indent=2, ensure_ascii=False))

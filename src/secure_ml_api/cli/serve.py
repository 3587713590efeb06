"""``serve``: gunicorn with the packaged configuration."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from ..settings import Settings
from .common import home_option, json_option, load, say
from .output import echo_if_possible

# What is named here is named from where the command is called; in the settings, from the home.
FILE = click.Path(dir_okay=False)


@click.command()
@home_option
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the API.  [default: 8000]")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Port of GET /metrics.  [default: 9464]")
@click.option("--workers", type=click.IntRange(min=0), help="Worker processes; 0 fits the CPUs and the memory.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of a worker that wait on clients.")
@click.option("--worker-class", help="Gunicorn worker class.  [default: inplace]")
@click.option("--certfile", "tls_certificate", type=FILE, help="PEM file of a certificate and its chain: speak TLS.")
@click.option("--keyfile", "tls_key", type=FILE, help="PEM file of its key, mode 0600 or 0640.")
@click.option("--demo", is_flag=True, help="Register the client demo and print a command that predicts with it.")
@json_option
def command(home: Path, as_json: bool, demo: bool, **options: Any) -> None:
    """Serve the home's models over HTTP until a signal ends it.

    An empty home is prepared first, as `init` does it. SIGHUP reads configuration and models anew, SIGTERM finishes
    what is being answered. The log goes to stderr, one JSON object a line.
    """
    from ..server.application import serve

    overrides = {key: value for key, value in options.items() if value is not None}
    for key in ("tls_certificate", "tls_key"):
        if key in overrides:
            overrides[key] = str(Path(overrides[key]).absolute())
    serve(partial(load, home, server=overrides), partial(_prepare, as_json=as_json, demo=demo))


def _prepare(settings: Settings, *, as_json: bool, demo: bool) -> None:
    """Fill an empty home and say where the server will answer."""
    from ..server.config import address

    done: list[str] = []
    if not settings.keys_directory.exists():
        from .init import prepare

        # At once, as training the examples takes a while.
        done = prepare(settings) if as_json else prepare(settings, tell=echo_if_possible)
    server = settings.server
    url = f"{'https' if server.tls_certificate else 'http'}://{address(server.host, server.port)}"
    metrics_url = f"http://{address(server.host, server.metrics_port)}/metrics"
    lines = [f"Serving {url} (documentation {url}/docs), metrics {metrics_url}"]
    payload: dict[str, object] = {"url": url, "metrics_url": metrics_url, "prepared": done}
    if demo:
        from .demo import demo_command

        payload["demo"] = demo_command(settings, url)
        lines.append(f"\nIn another terminal:\n\n{payload['demo']}\n")
    say(payload, as_json, lines, tell=echo_if_possible)  # the log goes elsewhere: the server is no worse for it

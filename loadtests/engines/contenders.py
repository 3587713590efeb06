"""The servers that are compared: how each is started on a port, and what is asked of it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from ..compare.exchange import Request, post
from ..compare.models import make
from ..compare.processes import Start
from ..compare.servers.ours.home import CLIENT_FILE, UNLIMITED, made_home

ROW = b'{"features":[5.1,3.5,1.4,0.2]}'
CLASSES = ("inplace", "gthread", "granian")
_ROOT = Path(__file__).parents[2]
_APP = "loadtests.engines.bare"
# A token is as long as this, and is sent with every request.
_BARE = Request("/", ROW, {"Content-Type": "application/json", "Authorization": "Bearer " + "x" * 500})
_LIMITS = ("ADDRESS", "FAILED_AUTHENTICATIONS", "TOKEN_ADDRESS", "TOKEN_CLIENT")

Ask = Callable[[int], Request]


@dataclass(frozen=True, slots=True)
class Contender:
    """``start`` takes a directory of its own and two ports; ``ask`` takes the port of the running server."""

    work: str
    name: str
    start: Callable[[Path, int, int], Start]
    ask: Callable[[Path, int], Request]


def contenders() -> list[Contender]:
    """All of them, the bare answers first."""
    bare = [_ours_bare(name) for name in CLASSES]
    bare += [
        _plain("gunicorn gthread", "gunicorn", "-k", "gthread", "--threads", "16", *_gunicorn("wsgi")),
        _plain("gunicorn asgi", "gunicorn", "-k", "asgi", *_gunicorn("asgi")),
        _plain("granian WSGI, 1 thread", "granian", "--blocking-threads", "1", *_granian("wsgi")),
        _plain("granian WSGI, 16 threads", "granian", "--blocking-threads", "16", *_granian("wsgi")),
        _plain("granian RSGI", "granian", *_granian("rsgi")),
    ]
    return bare + [_ours_guarded(name) for name in CLASSES]


def _gunicorn(interface: str) -> tuple[str, ...]:
    return ("--no-control-socket", "--bind", "127.0.0.1:{port}", f"{_APP}:{interface}")


def _granian(interface: str) -> tuple[str, ...]:
    options = ("--workers", "1", "--no-access-log", "--host", "127.0.0.1", "--port", "{port}")
    return ("--interface", interface, *options, f"{_APP}:{interface}")


def _plain(name: str, module: str, *arguments: str) -> Contender:
    def start(directory: Path, port: int, _: int) -> Start:
        filled = [argument.format(port=port) for argument in arguments]
        return Start((sys.executable, "-m", module, *filled), "/", directory=_ROOT)

    return Contender("bare answer", name, start, lambda directory, port: _BARE)


def _ours_bare(worker_class: str) -> Contender:
    def start(directory: Path, port: int, spare: int) -> Start:
        module = "loadtests.engines.bare_server"
        command = (sys.executable, "-m", module, str(directory / "home"), str(port), str(spare))
        return Start(command, "/", {"SECURE_ML_API_SERVER__WORKER_CLASS": worker_class}, _ROOT)

    return Contender("bare answer", f"this server, {worker_class}", start, lambda directory, port: _BARE)


def _ours_guarded(worker_class: str) -> Contender:
    def start(directory: Path, port: int, spare: int) -> Start:
        shutil.copytree(made_home(make("tree", directory.parent / "cache", lambda line: None)), directory / "home")
        command = [sys.executable, "-m", "secure_ml_api", "serve", "--home", str(directory / "home"), "--workers", "1"]
        command += ["--port", str(port), "--metrics-port", str(spare), "--worker-class", worker_class]
        environ = {f"SECURE_ML_API_QUOTAS__{limit}": UNLIMITED for limit in _LIMITS}
        return Start(tuple(command), "/v2/health/ready", environ, _ROOT)

    return Contender("guarded prediction of one row", f"this server, {worker_class}", start, _guarded)


def _guarded(directory: Path, port: int) -> Request:
    client = json.loads((directory / "home" / CLIENT_FILE).read_text())
    form = {name: client[name] for name in ("client_id", "client_secret")} | {"grant_type": "client_credentials"}
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = post(port, Request("/oauth/token", urlencode(form).encode(), form_type))
    token = json.loads(answer.body)["access_token"]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    return Request("/v1/models/iris-tree/predict", ROW, headers)

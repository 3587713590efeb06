"""The packaged gunicorn configuration: every setting that differs from gunicorn's default, and why."""

from __future__ import annotations

import os
import resource
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..settings import Settings
from ..telemetry.opening import require_opentelemetry
from . import hooks
from .capacity import worker_count
from .tls import TlsFiles

WORKER_CLASSES = {
    "inplace": "secure_ml_api.server.in_place.InPlace",
    "gthread": "secure_ml_api.server.gthread.GuardedThreads",
    "granian": "secure_ml_api.server.granian_worker.Granian",
}
"""Worker classes by the name in ``server.worker_class``. Gunicorn's own are not offered: their error pages quote the
request in HTML, their answers name the server, and a few half-sent headers block them."""

# The master waits this much longer for a worker than the worker waits for its requests, so that it can write out its
# last audit entries before it is killed.
LAST_WORDS_SECONDS = 3

# The library's thread pools are bounded before numpy is first imported; what the operator has set stays.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

SPARE_DESCRIPTORS = 256
# An idle connection takes 4 KiB, and 18 KiB with TLS.
MOST_CONNECTIONS = 4096


def gunicorn_settings(settings: Settings) -> dict[str, Any]:
    """Gunicorn's settings for ``settings``; raises SettingsError for what is not offered or installed."""
    server = settings.server
    if server.worker_class not in WORKER_CLASSES:
        raise SettingsError(f"server.worker_class: {server.worker_class} is not one of {', '.join(WORKER_CLASSES)}")
    if server.worker_class == "granian" and find_spec("granian") is None:
        raise SettingsError('server.worker_class: granian is not installed; pip install "secure-ml-api[granian]"')
    require_opentelemetry(settings.telemetry)
    tls = TlsFiles.of(settings)
    if server.worker_class == "granian" and tls is not None:
        raise SettingsError(
            "server.tls_certificate: the worker class granian speaks no TLS here; take inplace or gthread"
        )
    return {
        "proc_name": "secure-ml-api",
        # The metrics have a port of their own, so that a proxy in front of the first never shows them.
        "bind": [address(server.host, server.port), address(server.host, server.metrics_port)],
        "worker_class": WORKER_CLASSES[server.worker_class],
        "workers": worker_count(server.workers),
        "threads": server.threads,
        # The models' weights are loaded once, before the fork, and shared.
        "preload_app": True,
        # Open connections of one worker, idle ones too, as far as file descriptors go.
        "worker_connections": connection_limit(),
        "backlog": 1024,
        # The workers speak TLS themselves (``certificates``); gunicorn only has to know the scheme.
        "certfile": str(tls.certificate) if tls is not None else None,
        "keepalive": server.keep_alive_seconds,
        # A worker whose main loop hangs is killed; a request that takes long does not stop the loop.
        "timeout": 30,
        "graceful_timeout": server.graceful_timeout_seconds + LAST_WORDS_SECONDS,
        "max_requests": server.max_requests,
        "max_requests_jitter": server.max_requests_jitter,
        # Bounds on what is read before anyone is known. A header field holds a token of 8 KiB and its name.
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 8800,
        # X_Forwarded_For is not X-Forwarded-For: names with an underscore are refused, from proxies too.
        "header_map": "refuse",
        "forwarder_headers": "",
        # Whose word is taken for the scheme: the proxies of the settings and nobody else, not even this machine.
        "forwarded_allow_ips": ",".join(server.trusted_proxies),
        "proxy_allow_ips": "",
        "secure_scheme_headers": {"X-FORWARDED-PROTO": "https"},
        # On by default since gunicorn 25.1; nobody needs a second way in.
        "control_socket_disable": True,
        # Workers prove that they live by touching a file; on a slow disk that stalls them.
        "worker_tmp_dir": memory_directory(),
        "pidfile": str(settings.run_directory.absolute() / "server.pid"),
        "logger_class": "secure_ml_api.server.gunicorn_log.GunicornLog",
        "loglevel": settings.telemetry.log_level,
        "errorlog": "-",
        "accesslog": None,
        "sendfile": False,
        "pre_fork": hooks.pre_fork,
        "post_fork": hooks.post_fork,
        "post_worker_init": hooks.post_worker_init,
        "worker_exit": hooks.worker_exit,
        "child_exit": hooks.child_exit,
    }


def bound_library_threads(threads: int) -> None:
    """Let OpenMP and BLAS use ``threads`` threads, here and in the workers, unless the environment says otherwise."""
    for variable in _THREAD_VARIABLES:
        os.environ.setdefault(variable, str(threads))


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def forbid_core_files() -> None:
    """Write no core file when a process of the server crashes: private keys and tokens would lie in it."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def connection_limit() -> int:
    """Connections that one worker may hold open: four thousand, or fewer when file descriptors are short."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(32, min(MOST_CONNECTIONS, soft - SPARE_DESCRIPTORS))
    )


def address(host: str, port: int) -> str:
    """``host:port``, with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def memory_directory() -> str | None:
    """A directory that lies in memory, or None for the system's usual one."""
    candidate = Path("/dev/shm")  # noqa: S108 — gunicorn makes and unlinks a private file there
    return str(candidate) if os.access(candidate, os.W_OK | os.X_OK) else None

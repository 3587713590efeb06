"""What the servers share and what is in front of them: a Redis, a PostgreSQL, and nginx as it is shipped."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..compare.processes import Running, Start, free_ports, running
from ..compare.trouble import CompareError

_SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "nginx.conf"
_READY_SECONDS = 30.0
# Where Debian puts servers that are not on every user's PATH.
_FOLDERS = ["/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]


def program(name: str, package: str) -> str:
    """The path of ``name``; raises CompareError with the Debian package that has it."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS]))
    if found is None:
        raise CompareError(f"{name} is missing; on Debian: apt-get install {package}")
    return found


@contextmanager
def redis(directory: Path, cores: set[int]) -> Iterator[Running]:
    """A Redis that keeps nothing."""
    (port,) = free_ports(1)
    command = [program("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--appendonly", "no", "--dir", str(directory)]
    with running(Start(tuple(command)), port, directory / "redis.log", cores) as server:
        yield server


@contextmanager
def postgres(cores: set[int]) -> Iterator[Running]:
    """A PostgreSQL with the database ``postgres`` of the user ``serve``, who needs no password."""
    (port,) = free_ports(1)
    directory = Path(tempfile.mkdtemp(prefix="scaling-postgres-"))
    # It refuses to run as root: then it runs as its own user, and hears its signals itself.
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
    try:
        if as_user:
            owner = pwd.getpwnam("postgres")
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        data = str(directory / "data")
        initdb = [*as_user, program("initdb", "postgresql"), "-D", data, "-U", "serve", "-A", "trust", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/", timeout=60)
        command = [*as_user, program("postgres", "postgresql"), "-D", data, "-p", str(port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        with running(Start(tuple(command), directory=Path("/")), port, directory / "log", cores) as server:
            _wait_for_postgres(port)
            yield server
    except subprocess.CalledProcessError as error:
        raise CompareError(f"initdb failed: {error.stderr.decode(errors='replace').strip()[-300:]}") from None
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _wait_for_postgres(port: int) -> None:
    """Until it answers: its port is open before that."""
    asks = [program("pg_isready", "postgresql"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    until = time.monotonic() + _READY_SECONDS
    while subprocess.run(asks, check=False, timeout=_READY_SECONDS).returncode != 0:
        if time.monotonic() > until:
            raise CompareError("PostgreSQL did not become ready")
        time.sleep(0.05)


@contextmanager
def nginx(directory: Path, upstream_ports: Sequence[int], cores: set[int]) -> Iterator[Running]:
    """The shipped nginx on a port of its own, with a certificate made now, in front of ``upstream_ports``."""
    (port,) = free_ports(1)
    for folder in ("tls", "temp"):
        (directory / folder).mkdir(parents=True)
    _make_certificate(directory / "tls")
    configuration = directory / "nginx.conf"
    configuration.write_text(configured(_SHIPPED.read_text("utf-8"), port, upstream_ports), "utf-8")
    command = (program("nginx", "nginx-light"), "-p", str(directory), "-c", str(configuration), "-g", "daemon off;")
    with running(Start(command), port, directory / "nginx.log", cores) as server:
        yield server


def configured(shipped: str, port: int, upstream_ports: Sequence[int]) -> str:
    """The configuration ``shipped`` with other ports; raises ValueError when it is not as it was."""
    for before, after in (
        ("listen 8443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("server 127.0.0.1:8000;", " ".join(f"server 127.0.0.1:{each} fail_timeout=1s;" for each in upstream_ports)),
        ("access_log /dev/stdout json;", "access_log access.log json;"),
    ):
        if shipped.count(before) != 1:
            raise ValueError(f"deploy/nginx/nginx.conf does not have one {before}")
        shipped = shipped.replace(before, after)
    return shipped


def _make_certificate(directory: Path) -> None:
    command = [program("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-keyout", str(directory / "server.key"), "-out", str(directory / "server.pem")]
    subprocess.run(command, check=True, capture_output=True, timeout=30)

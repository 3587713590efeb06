"""What is measured of several servers, and the document with its figures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from loadtests.figures_page import END
from loadtests.scaling import stores
from loadtests.scaling.document import carried, table
from loadtests.scaling.measure import ALONE, PARTS, Sample, middle
from loadtests.scaling.run import PAGE
from support.needs import program

NGINX = Path(__file__).parents[3] / "deploy" / "nginx" / "nginx.conf"


def seen(per_second: float, *cpu_us: float) -> Sample:
    return Sample(per_second, 1.0, 9.0, dict(zip(PARTS, cpu_us, strict=True)))


def test_the_document_has_a_table_of_one_server_by_itself_and_of_one_two_and_three() -> None:
    figures = PAGE.path.read_text("utf-8").partition(PAGE.mark)[2].partition(END)[0]
    rows = [line.split("|")[1].strip() for line in figures.splitlines() if line.startswith("| ")]
    assert rows == ["servers", "---", ALONE, "1", "2", "3"]
    assert "| one |" in PAGE.with_figures(PAGE.path.read_text("utf-8"), "| one |")


def test_the_table_has_the_medians_and_the_rest_follows_from_the_most_servers() -> None:
    most = middle(
        [seen(rate, cpu, 40.0, 80.0, 1.0) for rate, cpu in ((900.0, 9999.0), (2000.0, 400.0), (1500.0, 500.0))]
    )
    samples = {ALONE: seen(3000.0, 150.0, 0.0, 80.0, 0.0), "1": seen(1000.0, 450.0, 41.0, 82.0, 0.0), "3": most}
    assert table(samples).splitlines()[-1] == "| 3 | 1500 | 1.00 | 9.00 | 500 µs | 40 µs | 80 µs | 1 µs |"
    said = carried(samples)
    assert "3.0 times as much" in said
    assert "answers 2 000 requests" in said
    assert "passes 12 000 on" in said
    assert "counts 25 000: 12 cores" in said


def test_nginx_takes_its_shipped_configuration_with_other_ports(tmp_path: Path) -> None:
    nginx = program("nginx", "nginx-light")
    text = stores.configured(NGINX.read_text("utf-8"), 9443, [9001, 9002])
    assert "server 127.0.0.1:9001 fail_timeout=1s; server 127.0.0.1:9002 fail_timeout=1s;" in text
    for folder in ("tls", "temp"):
        (tmp_path / folder).mkdir()
    stores._make_certificate(tmp_path / "tls")
    (tmp_path / "nginx.conf").write_text(text)
    command = [nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-t"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stderr
    with pytest.raises(ValueError, match="does not have one listen 8443"):
        stores.configured(text, 9443, [9001])


def test_redis_and_postgresql_are_ready_and_their_cpu_is_counted(tmp_path: Path) -> None:
    program("redis-server", "redis-server")
    program("initdb", "postgresql")
    with stores.redis(tmp_path, {0}) as redis, stores.postgres({0}) as postgres:
        assert len(postgres.pids()) > 3, "its own processes are counted too"
        assert redis.cpu_seconds() >= 0
        assert postgres.cpu_seconds() > 0
    assert not postgres.pids()[1:]

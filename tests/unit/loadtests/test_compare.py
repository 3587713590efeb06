"""The comparison judges what it measured: errors are never fast, targets hold in the right direction."""

from __future__ import annotations

import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from loadtests.compare.exchange import Reply, Request, check
from loadtests.compare.generator import send
from loadtests.compare.plot import plot
from loadtests.compare.processes import Start, free_ports, running
from loadtests.compare.results import CPU_US, P99_MS, PER_SECOND, PSS_MIB, Outcome, Result
from loadtests.compare.servers.registry import SERVERS
from loadtests.compare.table import text_table
from loadtests.compare.trouble import CompareError, Unfit
from loadtests.compare.workloads import WORKLOADS, Target, Workload

ROW = next(workload for workload in WORKLOADS if workload.key == "row")
QUESTION = Request("/predict", b"{}")


def measured(label: str, per_second: float, **more: float) -> Result:
    return Result(label, [{PER_SECOND: per_second * pace, CPU_US: 100.0, **more} for pace in (0.5, 1.0, 3.0)])


def judged(target: Target, *results: Result) -> bool:
    return Outcome(replace(ROW, targets=(target,)), results).verdicts()[0].met


def test_a_target_of_speed_is_met_by_the_ratio_of_medians() -> None:
    ours, other = measured("ours", 200), measured("other", 100)
    assert judged(Target("requests/s", 2, "other"), ours, other)
    assert not judged(Target("requests/s", 2.1, "other"), ours, other)


def test_a_target_of_memory_is_met_from_below() -> None:
    four, one = measured("four", 1, **{PSS_MIB: 120.0}), measured("one", 1, **{PSS_MIB: 100.0})
    assert judged(Target("PSS", 1.3, "one"), four, one)
    assert not judged(Target("PSS", 1.1, "one"), four, one)


def test_a_target_of_latency_is_met_from_below() -> None:
    ours = measured("ours", 1, **{P99_MS: 20.0})
    assert judged(Target("p99", 24), ours)
    assert not judged(Target("p99", 19), ours)


@pytest.mark.parametrize("failed", ["ours", "other"])
def test_a_server_that_failed_has_no_figures_and_meets_no_target(failed: str) -> None:
    results = {name: measured(name, rate) for name, rate in (("ours", 900), ("other", 1))}
    results[failed].trouble = "3 of 9 answers were errors"
    outcome = Outcome(replace(ROW, targets=(Target("requests/s", 2, "other"),)), [*results.values()])
    assert not outcome.verdicts()[0].met
    assert "failed: 3 of 9 answers were errors" in text_table(outcome)
    assert outcome.ratio(outcome.results[1]) is None


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.key)
def test_every_workload_has_ours_first_known_servers_and_targets_against_its_own_contenders(workload: Workload) -> None:
    labels = [contender.label for contender in workload.contenders]
    assert workload.contenders[0].server == "ours"
    assert len(set(labels)) == len(labels)
    assert {contender.server for contender in workload.contenders} <= set(SERVERS)
    assert workload.targets
    assert {target.than for target in workload.targets} <= {"", *labels}


def test_the_plot_is_well_formed_and_names_every_contender() -> None:
    results = [measured(contender.label + " <&>", 10) for contender in ROW.contenders]
    results[1].trouble = "it fell over"
    drawn = "".join(ElementTree.fromstring(plot([Outcome(ROW, results)])).itertext())
    assert all(result.label in drawn for result in results)
    assert drawn.count("\nfailed\n") == 1


@contextmanager
def answering(*statuses: int) -> Iterator[int]:
    """The port of a server that answers ``[1]`` with each of ``statuses`` in turn, and with the last from then on."""
    left = list(statuses)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"[1]")

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def classes(reply: Reply) -> list[int]:
    return [int(part) for part in reply.body.strip(b"[]").split(b",")]


def test_an_answer_with_another_status_or_other_classes_is_no_answer() -> None:
    with answering(200) as port:
        check(port, QUESTION, classes, [1])
        with pytest.raises(Unfit, match="1 of its 1 classes"):
            check(port, QUESTION, classes, [2])
    with answering(302) as port, pytest.raises(Unfit, match="302"):
        check(port, QUESTION, classes, [1])


needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


@needs_wrk
def test_good_answers_are_counted() -> None:
    with answering(200) as port:
        load = send(QUESTION, port, connections=2, seconds=1, core=0)
    assert load.requests > 0
    assert load.p50_ms <= load.p99_ms


@needs_wrk
def test_one_error_among_the_answers_fails_the_run() -> None:
    with answering(200, 200, 500, 200) as port, pytest.raises(Unfit, match=r"^1 of \d+ answers were errors"):
        send(QUESTION, port, connections=1, seconds=1, core=0)


_SERVER = """
import http.server, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
child = subprocess.Popen([sys.executable, "-c", "import time; sum(range(10**6)); time.sleep(600)"])
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_server_is_weighed_and_ended_with_its_children(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    start = Start((sys.executable, "-c", _SERVER, str(port)), "/")
    with running(start, port, tmp_path / "log", {0}) as server:
        pids = server.pids()
        assert len(pids) == 2
        assert server.cpu_seconds() > 0
        assert server.pss_bytes() > 1024 * 1024
    stats = [Path(f"/proc/{pid}/stat") for pid in pids]
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in stats if stat.exists()]
    assert set(states) <= {"Z"}  # ended, and perhaps not reaped yet by whoever adopted it


def test_a_server_that_ends_instead_of_becoming_ready_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(CompareError, match="did not become ready"),
        running(Start((sys.executable, "-c", "pass"), "/"), free_ports(1)[0], tmp_path / "log", {0}),
    ):
        pytest.fail("there is no server")

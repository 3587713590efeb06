"""What is run together, and ports that several runs of the suite may ask for at once."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.needs import is_free
from support.workers import group_of

_TESTS = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("a/test_b.py::test_c", "a/test_b.py::test_d[1]", True),
        ("a/test_b.py::test_c", "a/test_c.py::test_c", False),
        ("a/test_b.py::test_c[inplace]", "a/test_b.py::test_d[inplace]", True),
        ("a/test_b.py::test_c[inplace]", "a/test_b.py::test_c[gthread]", False),
        ("a/test_b.py::test_c[gthread]", "a/test_b.py::test_c[gthread-[x]]", True),
        ("a/test_b.py::test_c[tutorials/keras.md]", "a/test_b.py::test_c[tutorials/pytorch.md]", False),
        ("a/test_b.py::test_c[inplaces]", "a/test_b.py::test_c[gthreads]", True),
    ],
)
def test_a_file_is_run_by_one_process_and_so_is_each_suite_over_one_kind_of_server_and_each_page(
    first: str, second: str, together: bool
) -> None:
    assert (group_of(first) == group_of(second)) is together


def test_no_two_processes_are_given_one_port() -> None:
    code = "from support.needs import free_port; print(*(free_port() for _ in range(50)))"
    asked = [
        subprocess.Popen([sys.executable, "-c", code], cwd=_TESTS, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    ports = [port for process in asked for port in process.communicate(timeout=60)[0].split()]
    assert len(set(ports)) == len(ports) == 150


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not is_free(taken.getsockname()[1])

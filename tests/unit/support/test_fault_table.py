"""The table of faults keeps what other tests measured, and replaces what is measured anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.fault_table import BEGIN, END, Figures, Row, with_rows

PAGE = f"# Before\n{BEGIN}\n{END}\nAfter.\n"


def rows(file: str, *faults: str) -> list[Row]:
    figures = Figures(file)
    for fault in faults:
        figures.add(fault, "100 requests/s", "0 lost", must_hold="none lost")
    return figures.rows(passed=True)


def test_rows_of_several_files_stand_in_the_order_of_the_files() -> None:
    page = with_rows(with_rows(PAGE, rows("b.py", "second"), "then"), rows("a.py", "first"), "now")
    assert page.startswith("# Before\n")
    assert page.endswith("\nAfter.\n")
    assert page.index("first") < page.index("second")
    assert "now" in page
    assert "then" not in page


def test_a_file_that_is_measured_again_replaces_all_of_its_rows() -> None:
    page = with_rows(PAGE, rows("a.py", "earlier", "earliest"), "")
    page = with_rows(page, rows("a.py", "new"), "")
    assert "earli" not in page
    assert page.count("| new |") == 1


def test_bars_and_line_ends_do_not_break_the_table() -> None:
    figures = Figures("a.py")
    figures.add("a|b\nc", "load", "result", must_hold="must")
    page = with_rows(with_rows(PAGE, figures.rows(passed=True), ""), rows("b.py", "other"), "")
    assert "| a\\|b c | must | load | result | `a.py` |\n" in page


def test_a_page_without_the_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="stands between"):
        with_rows("# A page", [], "")


def test_the_project_s_page_has_the_marks() -> None:
    page = Path(__file__).parents[3] / "docs" / "reliability.md"
    assert with_rows(page.read_text("utf-8"), [], "")


def test_a_row_that_did_not_hold_says_so_and_its_neighbours_do_not() -> None:
    figures = Figures("a.py")
    figures.add("one", "load", "well", must_hold="all", held=True)
    figures.add("two", "load", "badly", must_hold="all", held=False)
    figures.add("three", "load", "somehow", must_hold="all")
    assert [row.result for row in figures.rows(passed=False)] == [
        "well",
        "**did not hold:** badly",
        "**did not hold:** somehow",
    ]
    assert figures.rows(passed=True)[2].result == "somehow"

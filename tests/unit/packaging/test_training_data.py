"""What a card tells of the data that a model learnt from."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging.training_data import training_data


def test_data_that_nobody_says_anything_of_is_not_in_the_card() -> None:
    assert training_data({}, None) is None


def test_what_is_said_and_what_the_file_is_go_into_the_card_and_no_path(tmp_path: Path) -> None:
    table = tmp_path / "orders.csv"
    table.write_text('a,b\n1,"two\nlines"\n\n2,x\n')
    about = {"name": "Orders", "licence": "CC-BY-4.0", "as_of": "2026-05-01", "description": "No refunds, a=b."}
    told = training_data(about, table)
    assert told is not None
    assert (told.name, told.licence, told.as_of) == ("Orders", "CC-BY-4.0", date(2026, 5, 1))
    assert told.description == "No refunds, a=b."
    assert (told.rows, told.sha256) == (2, hashlib.sha256(table.read_bytes()).hexdigest())
    assert "orders.csv" not in told.model_dump_json()
    assert str(tmp_path) not in told.model_dump_json()


def test_rows_of_parquet_and_of_arrays_are_counted_and_of_other_files_not(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"a": [1, 2, 3]}), tmp_path / "a.parquet")
    np.save(tmp_path / "b.npy", np.zeros((5, 2, 2), np.uint8))
    (tmp_path / "c.bin").write_bytes(b"\xff\x00\xff")
    rows = [told.rows for each in ("a.parquet", "b.npy", "c.bin") if (told := training_data({}, tmp_path / each))]
    assert rows == [3, 5, None]


def test_lines_of_files_that_are_not_named_as_tables_are_no_rows(tmp_path: Path) -> None:
    lines = "".join(f'{{"a": {number}}}\n' for number in range(1000))
    for name in ("data.jsonl", "data.txt", "data", "DATA.CSV", "data.tsv"):
        (tmp_path / name).write_text(lines)
    found = {each.name: told.rows for each in tmp_path.iterdir() if (told := training_data({}, each))}
    assert found == {"data.jsonl": None, "data.txt": None, "data": None, "DATA.CSV": 999, "data.tsv": 999}


def test_rows_that_are_said_go_before_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "part.csv").write_text("a\n1\n")
    told = training_data({"rows": "1000000"}, tmp_path / "part.csv")
    assert told is not None
    assert told.rows == 1_000_000


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"as_of": "May"}, "as_of of the data is a day such as 2026-05-31, and not 'May'"),
        ({"rows": "many"}, "rows of the data is a whole number, and not 'many'"),
        ({"rows": "9" * 5000}, "rows of the data is a whole number of at most 18 digits"),
        ({"rows": "-1"}, "rows of the data is a whole number, and not '-1'"),
        ({"licence": "x" * 201}, "licence of the data is at most 200 characters long"),
        ({"owner": "me"}, "nothing is kept of the data as 'owner'; say name, description, licence, as_of or rows"),
    ],
)
def test_what_cannot_be_kept_is_refused(about: dict[str, str], message: str) -> None:
    with pytest.raises(PackingError, match=message):
        training_data(about, None)

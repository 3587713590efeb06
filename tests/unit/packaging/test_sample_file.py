from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging.sample_file import read_sample_file


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sample.csv"
    path.write_text(text, "utf-8")
    return path


def test_numbers_text_and_gaps_are_told_apart(tmp_path: Path) -> None:
    table = read_sample_file(csv(tmp_path, 'age,city,member\n1.5,"Köln, Altstadt",true\n,"",false\nNA,x,TRUE\n'))
    assert table.names == ("age", "city", "member")
    np.testing.assert_array_equal(table.columns["age"], [1.5, np.nan, np.nan])
    assert table.columns["city"].tolist() == ["Köln, Altstadt", None, "x"]
    assert table.columns["member"].tolist() == [1.0, 0.0, 1.0]
    assert table.truths == {"member"}


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert read_sample_file(csv(tmp_path, "\ufeffage\n1\n")).names == ("age",)


def test_codes_stay_text_where_the_model_knows_text(tmp_path: Path) -> None:
    table = read_sample_file(csv(tmp_path, "code\n01\n02\n"), text={"code"})
    assert table.columns["code"].tolist() == ["01", "02"]


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": [1.5, None], "city": ["Köln", "x"], "member": [True, False], "count": [1, 2]})
    frame.to_parquet(tmp_path / "sample")
    table = read_sample_file(tmp_path / "sample")
    np.testing.assert_array_equal(table.columns["age"], [1.5, np.nan])
    assert table.columns["city"].tolist() == ["Köln", "x"]
    assert table.columns["member"].tolist() == [1.0, 0.0]
    assert table.columns["count"].tolist() == [1.0, 2.0]
    assert table.truths == table.select(["member", "age"]).truths == {"member"}


def test_parquet_tells_an_empty_text_from_one_that_is_missing(tmp_path: Path) -> None:
    pd.DataFrame({"city": ["Köln", "", None], "size": [1.0, None, 3.0]}).to_parquet(tmp_path / "sample")
    table = read_sample_file(tmp_path / "sample", text={"city", "size"})
    assert table.columns["city"].tolist() == ["Köln", "", None]
    assert table.columns["size"].tolist() == ["1.0", None, "3.0"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no header row"),
        ("a,b\n", "no rows"),
        ("a,a\n1,2\n", "several columns named 'a'"),
        ("a,b\n1,2\n3\n", "1 cells in row 3"),
        ('a\n"open\n', "neither CSV"),
        ("PAR1 but no parquet", "not readable Parquet"),
    ],
)
def test_a_sample_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(PackingError, match=complaint):
        read_sample_file(csv(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(PackingError, match="neither CSV in UTF-8"):
        read_sample_file(tmp_path / "sample.csv")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackingError, match="No such file"):
        read_sample_file(tmp_path / "nowhere.csv")


def test_an_array_of_images_keeps_its_shape_and_its_bytes(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1)
    np.save(tmp_path / "images.npy", images)
    table = read_sample_file(tmp_path / "images.npy")
    assert (table.rows, table.row_shape, table.datatype) == (2, (3, 4, 1), "UINT8")
    assert table.names[:2] == ("pixel_0_0_0", "pixel_0_1_0")
    assert [values[1] for values in table.columns.values()] == list(range(12, 24))


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((2, 3, 3), dtype=np.int64), "int64"),
        (np.zeros((2, 1, 1, 1, 1, 1)), "rows of 1 to 4 axes"),
        (np.zeros(3), "rows of 1 to 4 axes"),
        (np.zeros((0, 3, 3)), "rows of 1 to 4 axes"),
        (np.array([{}, None]), "no readable NumPy array"),
    ],
)
def test_an_array_that_holds_no_images_is_refused_with_the_reason(
    tmp_path: Path, array: np.ndarray[Any, Any], complaint: str
) -> None:
    np.save(tmp_path / "images.npy", array, allow_pickle=True)
    with pytest.raises(PackingError, match=complaint):
        read_sample_file(tmp_path / "images.npy")


def test_a_cut_off_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((2, 3, 3), dtype=np.uint8))
    (tmp_path / "images.npy").write_bytes((tmp_path / "images.npy").read_bytes()[:-5])
    with pytest.raises(PackingError, match="no readable NumPy array"):
        read_sample_file(tmp_path / "images.npy")

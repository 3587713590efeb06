"""Rows with their true answers, from files that nobody vouches for."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from secure_ml_api.errors import PackingError
from secure_ml_api.packaging import arrays as arrays_module
from secure_ml_api.packaging.arrays import read_arrays
from secure_ml_api.packaging.known_rows import inputs_of, read_known_rows
from secure_ml_api.tensors import Column, Signature

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES: list[Any] = [np.uint8, np.int16, np.float16, np.float32, np.dtype(">f4"), np.bool_]

IMAGES = Signature(
    task="regression", columns=tuple(Column(name=f"p{at}", datatype="UINT8") for at in range(6)), row_shape=(3, 2)
)
NUMBERS = Signature(task="regression", columns=(Column(name="a"), Column(name="b", allow_missing=True)))
MIXED = Signature(task="regression", columns=(Column(name="age"), Column(name="city", datatype="BYTES")))
TWO_IMAGES = np.arange(12, dtype=np.uint8).reshape(2, 3, 2)


def saved(directory: Path, **given: Any) -> Path:
    path = directory / "data.npz"
    np.savez_compressed(path, **given)
    return path


def complaint(path: Path, signature: Signature = IMAGES, target: str | None = None) -> str:
    """Why ``path`` cannot be measured by."""
    with pytest.raises(PackingError) as refused:
        told(path, signature, target)
    return str(refused.value)


def told(path: Path, signature: Signature = IMAGES, target: str | None = None) -> tuple[dict[str, Array], Array]:
    data, name = read_known_rows(path, [signature], target)
    return inputs_of(data, signature), data.answers(name)


@given(
    array_shapes(min_dims=1, max_dims=4, max_side=4).flatmap(
        lambda shape: st.sampled_from(DTYPES).flatmap(lambda dtype: arrays(dtype, shape, elements=st.integers(0, 1)))
    ),
    st.booleans(),
    st.booleans(),
)
def test_images_of_every_shape_and_number_are_read_as_numpy_wrote_them(
    tmp_path_factory: pytest.TempPathFactory, images: Array, is_fortran: bool, is_compressed: bool
) -> None:
    path = tmp_path_factory.mktemp("arrays") / "data.npz"
    answers = np.arange(len(images))
    images = np.asfortranarray(images) if is_fortran else images
    (np.savez_compressed if is_compressed else np.savez)(path, input=images, y=answers)
    data = read_arrays(path, ["input", "y", "nothing"])
    assert (data.rows, set(data.names), data.arrays["input"].dtype) == (len(images), {"input", "y"}, images.dtype)
    np.testing.assert_array_equal(data.arrays["input"], images)
    np.testing.assert_array_equal(data.answers("y"), answers.astype(np.float64))


def _an_archive() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, input=TWO_IMAGES, target=np.array(["a", "b"]))
    return buffer.getvalue()


@given(
    st.lists(st.tuples(st.integers(0, len(_an_archive()) - 1), st.integers(0, 255)), max_size=4),
    st.integers(4, len(_an_archive())),
)
def test_archive_with_other_bytes_is_refused_or_is_still_of_images(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(_an_archive())
    for at, byte in changes:
        data[at] = byte
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    path.write_bytes(data[: length if not changes else None])
    try:
        read = read_arrays(path, ["input", "target"])
        read.tensors(IMAGES)
    except PackingError:
        return
    assert read.rows == 2


def test_images_reach_the_model_row_by_row_as_they_are(tmp_path: Path) -> None:
    inputs, answers = told(saved(tmp_path, input=TWO_IMAGES, target=[7, 8]))
    assert inputs["input"].dtype == np.uint8
    np.testing.assert_array_equal(inputs["input"], TWO_IMAGES.reshape(2, 6))
    assert answers.tolist() == [7.0, 8.0]


def test_an_input_of_text_and_one_of_numbers_have_an_array_each(tmp_path: Path) -> None:
    inputs, answers = told(saved(tmp_path, age=[1, 2], city=["Köln", "Ulm"], y=[[0.5], [1.5]]), MIXED)
    assert {name: tensor.tolist() for name, tensor in inputs.items()} == {
        "age": [[1.0], [2.0]],
        "city": [["Köln"], ["Ulm"]],
    }
    assert answers.tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"images": TWO_IMAGES}, "no array 'input', and has 'target', 'images'; the model takes 'input', [rows, 3, 2]"),
        (
            {"input": TWO_IMAGES.reshape(2, 6)},
            "'input' is [2, 6] uint8, and the model takes [rows, 3, 2] UINT8; input.r",
        ),
        ({"input": TWO_IMAGES.reshape(2, 6)}, "input.reshape(-1, 3, 2), if its numbers are in that order"),
        ({"input": np.zeros((2, 4, 2), np.uint8)}, "takes [rows, 3, 2] UINT8; give rows as callers send them"),
        ({"input": TWO_IMAGES.astype(np.float32)}, "is [2, 3, 2] float32, and the model takes [rows, 3, 2] UINT8"),
        ({"input": TWO_IMAGES.astype(np.int64)}, "input.astype(np.uint8), if that is what it holds"),
        ({"input": TWO_IMAGES.astype(np.str_)}, "input.astype(np.uint8), if that is what it holds"),
        ({"input": TWO_IMAGES.astype(np.complex64)}, "'input' is complex64; give numbers, booleans or text"),
        ({"input": TWO_IMAGES.astype("M8[s]")}, "'input' is datetime64[s]; give numbers"),
        ({"input": TWO_IMAGES.astype(object)}, "'input' holds Python objects, which are never read; store text as"),
        ({"input": np.zeros((0, 3, 2), np.uint8)}, "'input' is [0, 3, 2] uint8 and has no rows"),
        ({"input": np.uint8(1)}, "'input' is [] uint8 and has no rows"),
        ({"input": TWO_IMAGES[:1]}, "the arrays 'target' and 'input' have 2 and 1 rows; give as many of both"),
        ({"input": TWO_IMAGES, "target": np.eye(2)}, "np.argmax(target, axis=1) makes class numbers of one column"),
        ({"input": TWO_IMAGES, "y": [1, 2]}, "has both 'target' and 'y'; say with --target which"),
    ],
)
def test_array_that_does_not_fit_is_named_with_what_would(tmp_path: Path, given: dict[str, Any], reason: str) -> None:
    assert reason in complaint(saved(tmp_path, **{"target": [1, 2], **given}))


def test_target_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path, input=TWO_IMAGES, label=[1, 2])
    assert "has neither 'target' nor 'y' but 'input', 'label'; say with --target" in complaint(path)
    assert "no array 'truth', and has 'input', 'label'" in complaint(path, target="truth")
    assert told(path, target="label")[1].tolist() == [1.0, 2.0]


def test_column_called_y_that_the_model_takes_is_no_answer(tmp_path: Path) -> None:
    signature = Signature(task="regression", columns=(Column(name="x"), Column(name="y")))
    (tmp_path / "rows.csv").write_text("x,y,target\n1,2,3\n")
    assert told(tmp_path / "rows.csv", signature)[1].tolist() == [3.0]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([[1.0, 2.0], [np.nan, 2.0]], "'a' is missing in row 2"),
        ([[1.0, np.inf], [1.0, 2.0]], "'b' is infinite, or larger than the model's numbers can be, in row 1"),
        ([[1e300, 1.0], [1.0, 2.0]], "'a' is infinite, or larger than the model's numbers can be, in row 1"),
    ],
)
def test_number_that_no_caller_may_send_is_named_with_its_row(tmp_path: Path, rows: Any, reason: str) -> None:
    assert reason in complaint(saved(tmp_path, input=np.array(rows), y=[1, 2]), NUMBERS)
    lines = ["a,b,y", *(",".join([*map(str, row), "1"]) for row in rows)]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    assert reason in complaint(tmp_path / "rows.csv", NUMBERS)


def test_text_that_is_missing_is_named_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("age,city,y\n1,Ulm,1\n2,,2\n")
    told_why = complaint(tmp_path / "rows.csv", MIXED)
    assert told_why.startswith("'city' has no text in row 2 of the data, which no caller may send; leave such rows out")


def test_text_for_a_number_is_named_past_cells_that_are_empty(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("age,y\n,1\n7,2\n")
    text = Signature(task="regression", columns=(Column(name="age", datatype="BYTES"),))
    data, _ = read_known_rows(tmp_path / "rows.csv", [NUMBERS, text], None)
    whole = Signature(task="regression", columns=(Column(name="age", datatype="INT64"),))
    with pytest.raises(PackingError, match="'age' has text, '7' in row 2 of the data"):
        inputs_of(data, whole)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("many", "'a' has text, 'many' in row 2 of the data; the model takes INT64"),
        ("1.5", "'a' is 1.5 in row 2 of the data; the model takes INT64"),
        ("", "'a' is missing in row 2 of the data; the model takes INT64"),
        ("1e30", "'a' is 1e+30 in row 2 of the data; the model takes INT64"),
    ],
)
def test_cell_that_is_no_whole_number_is_named_where_the_model_takes_those(
    tmp_path: Path, cell: str, reason: str
) -> None:
    signature = Signature(task="regression", columns=(Column(name="a", datatype="INT64"),))
    (tmp_path / "rows.csv").write_text(f"a,y\n7,1\n{cell},2\n")
    assert complaint(tmp_path / "rows.csv", signature) == reason


def test_what_may_be_missing_may_be(tmp_path: Path) -> None:
    inputs, _ = told(saved(tmp_path, input=np.array([[1.0, np.nan]]), y=[1]), NUMBERS)
    assert np.isnan(inputs["input"][0, 1])


def test_images_without_answers_are_told_from_those_with(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", TWO_IMAGES)
    assert "has images and no true answers; np.savez(" in complaint(tmp_path / "images.npy")


def test_archive_that_would_grow_past_the_limit_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, input=np.zeros((1000, 3, 2), np.uint8), target=np.zeros(1000, np.uint8))
    assert path.stat().st_size < 1000
    monkeypatch.setattr(arrays_module, "ARRAYS_LIMIT_BYTES", 6999)
    monkeypatch.setattr(arrays_module, "_data", None)  # which would decompress
    assert "are more than 6999 bytes, 'input' the largest; take fewer rows" in complaint(path)


def test_array_that_nobody_asked_for_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays_module, "ARRAYS_LIMIT_BYTES", 100)
    assert told(saved(tmp_path, input=TWO_IMAGES, target=[1, 2], rest=np.zeros(10_000), odd=[{}]))[1].tolist() == [1, 2]


def _forged(directory: Path, shape: str, data: bytes = bytes(12), method: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive whose image says that it has another shape than it has."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    path = directory / "data.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("input.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data)
    return path


@pytest.mark.parametrize("shape", ["(2000000000000, 3, 2)", "(1, 3, 2)", "(-2, 3, -2)", "(2, 3, 3)"])
def test_array_that_is_not_as_long_as_it_says_is_refused(tmp_path: Path, shape: str) -> None:
    assert "is not as long as it says" in complaint(_forged(tmp_path, shape), target="target")


def test_compression_that_numpy_does_not_use_is_refused(tmp_path: Path) -> None:
    assert "compressed in a way" in complaint(_forged(tmp_path, "(2, 3, 2)", method=zipfile.ZIP_LZMA), target="target")


@pytest.mark.parametrize("shape", ["(", "'2'", "__import__('os')", "(" * 500 + ")" * 500])
def test_header_that_is_none_is_refused(tmp_path: Path, shape: str) -> None:
    assert "data.npz is no readable .npz of NumPy" in complaint(_forged(tmp_path, shape), target="target")


def test_file_that_only_begins_like_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"PK\x03\x04 and nothing more")
    assert "is no readable .npz of NumPy (BadZipFile" in complaint(tmp_path / "data.npz")


def test_file_that_there_is_not_is_said(tmp_path: Path) -> None:
    assert "nowhere.npz cannot be read: No such file" in complaint(tmp_path / "nowhere.npz")

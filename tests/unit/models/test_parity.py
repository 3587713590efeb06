from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from secure_ml_api.errors import PackageRefused
from secure_ml_api.models.parity import compare
from secure_ml_api.models.recheck import recheck, recheck_package
from secure_ml_api.models.sample import read_sample, write_sample
from secure_ml_api.runtimes.onnx import open_graph
from secure_ml_api.tensors import Column, Signature, Tensors
from support.packages import SIGNATURE, publish, store_in, weighing_graph, weighing_sample

CLASSES = Signature(task="classification", columns=(Column(name="a"),), classes=(0, 1), labels=("no", "yes"))


def answers(labels: list[int], probabilities: list[list[float]]) -> Tensors:
    return {"label": np.array(labels), "probabilities": np.array(probabilities, dtype=np.float32)}


def test_equal_answers_do_not_differ() -> None:
    same = answers([0, 1], [[0.9, 0.1], [0.2, 0.8]])
    comparison = compare(same, same, CLASSES)
    assert comparison.differing.tolist() == [False, False]
    assert comparison.largest_differences == {"probabilities": 0.0}


def test_another_class_differs_however_close_the_numbers_are() -> None:
    reference = answers([0, 1], [[0.5, 0.5], [0.2, 0.8]])
    given = answers([1, 1], [[0.5, 0.5], [0.2, 0.8]])
    assert compare(given, reference, CLASSES).differing.tolist() == [True, False]


def test_numbers_differ_beyond_the_tolerance_only() -> None:
    reference = answers([0, 0], [[0.9, 0.1], [0.9, 0.1]])
    given = answers([0, 0], [[0.900005, 0.1], [0.901, 0.1]])
    assert compare(given, reference, CLASSES).differing.tolist() == [False, True]


def test_a_number_that_is_none_differs() -> None:
    reference = answers([0], [[0.9, 0.1]])
    assert compare(answers([0], [[float("nan"), 0.1]]), reference, CLASSES).differing.tolist() == [True]


def test_another_shape_differs_on_every_row() -> None:
    reference = answers([0, 1], [[0.9, 0.1], [0.2, 0.8]])
    given = {**reference, "probabilities": np.zeros((2, 3), np.float32)}
    assert compare(given, reference, CLASSES).differing.tolist() == [True, True]


def test_a_sample_survives_the_way_through_its_bytes_with_text() -> None:
    signature = Signature(task="regression", columns=(Column(name="city", datatype="BYTES"), Column(name="age")))
    data = read_sample(weighing_sample(), SIGNATURE)
    city = np.array([["Köln"], [""]], dtype=np.object_)
    sample = type(data)({"city": city, "age": np.array([[1], [2]], np.float32)}, {"value": np.zeros(2, np.float32)})
    again = read_sample(write_sample(sample, signature), signature)
    assert again.inputs["city"].dtype == np.object_
    assert again.inputs["city"].tolist() == [["Köln"], [""]]
    assert again.rows == 2
    assert again.resized(3).inputs["age"].tolist() == [[1], [2], [1]]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 truncated", weighing_sample()[:-40]])
def test_a_sample_that_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(PackageRefused, match=r"sample\.npz"):
        read_sample(data, SIGNATURE)


def test_a_sample_of_another_signature_is_refused() -> None:
    with pytest.raises(PackageRefused, match=r"sample\.npz"):
        read_sample(weighing_sample(), CLASSES)


def test_parity_is_shown_again_on_the_stored_sample() -> None:
    sample = read_sample(weighing_sample(), SIGNATURE)
    recheck(open_graph(weighing_graph(), SIGNATURE), sample, SIGNATURE)
    with pytest.raises(PackageRefused, match="2 of 4 sample rows"):
        recheck(open_graph(weighing_graph((1.0, 2.5)), SIGNATURE), sample, SIGNATURE)


def test_a_package_whose_graph_was_packed_with_the_answers_of_another_is_found(tmp_path: Path) -> None:
    package = publish(store_in(tmp_path), graph=weighing_graph((5.0, 5.0)))
    with pytest.raises(PackageRefused, match="tiny/1: the model answers 3 of 4"):
        recheck_package(package)

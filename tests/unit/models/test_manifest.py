from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_ml_api.errors import PackageRefused
from secure_ml_api.models.manifest import Manifest, parse_manifest
from secure_ml_api.models.reference import Histogram, Reference
from support.packages import manifest_of

FILES = {"model.onnx": b"model", "sample.npz": b"sample"}


def as_json(**changes: Any) -> bytes:
    content = json.loads(manifest_of(FILES).to_json())
    return json.dumps({**content, **changes}).encode()


def test_a_manifest_survives_the_way_through_its_bytes() -> None:
    wishes: dict[str, Any] = {"batching": "never", "max_batch_rows": 8, "max_batch_delay_seconds": 0.5}
    reference = Reference(rows=3, features=(Histogram(name="a", cuts=(0.1,), counts=(2, 1, 0)),))
    manifest = manifest_of(FILES, description="weighs", metrics={"r2": 0.5}, reference=reference, **wishes)
    assert parse_manifest(manifest.to_json()) == manifest


def test_a_manifest_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        manifest_of(FILES).name = "other"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../iris"},
        {"name": "Iris"},
        {"version": ".."},
        {"version": 1},
        {"format": 2},
        {"created": "2024-02-29T00:00:00"},
        {"files": {}},
        {"files": {"../../etc/passwd": {"sha256": "0" * 64, "size": 1}}},
        {"files": {"manifest.json": {"sha256": "0" * 64, "size": 1}}},
        {"files": {"model.onnx": {"sha256": "0" * 63, "size": 1}}},
        {"files": {"model.onnx": {"sha256": "0" * 64, "size": -1}}},
        {"files": {"model.onnx": {"sha256": "0" * 64, "size": 1.5}}},
        {"files": {"model.onnx": {"sha256": "0" * 64, "size": 5}}},
        {"surprise": True},
        {"metrics": {"accuracy": float("nan")}},
        {"batching": "sometimes"},
        {"max_batch_rows": 0},
        {"max_batch_delay_seconds": -1.0},
        {"signature": {"task": "regression", "columns": []}},
        {"reference": {"rows": 1, "features": [{"name": "no column", "cuts": [0.5], "counts": [1, 0, 0]}]}},
        {"reference": {"rows": 2, "features": [{"name": "a", "cuts": [0.5], "counts": [1, 0, 0]}]}},
    ],
    ids=lambda changes: json.dumps(changes)[:60],
)
def test_a_manifest_that_is_not_as_it_must_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PackageRefused, match=r"manifest\.json: "):
        parse_manifest(as_json(**changes))


def test_the_refusal_is_one_line_that_names_the_part() -> None:
    with pytest.raises(PackageRefused) as refused:
        parse_manifest(as_json(provenance={"source": "torrent"}))
    assert "provenance.source" in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    with pytest.raises(PackageRefused):
        parse_manifest(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(Manifest.model_fields)), json_values)
def test_any_value_in_any_field_is_parsed_to_the_same_again_or_refused(field: str, value: object) -> None:
    try:
        manifest = parse_manifest(as_json(**{field: value}))
    except PackageRefused:
        return
    assert parse_manifest(manifest.to_json()) == manifest


@given(st.integers(0, 5000))
def test_a_truncated_manifest_is_refused(length: int) -> None:
    data = manifest_of(FILES).to_json().rstrip()
    with pytest.raises(PackageRefused):
        parse_manifest(data[: min(length, len(data) - 1)])


def test_a_manifest_from_before_there_were_references_is_read() -> None:
    content = json.loads(as_json())
    del content["reference"]
    assert parse_manifest(json.dumps(content).encode()).reference is None

"""safetensors files whose header does not tell the truth."""

import json

import numpy as np
import pytest

from models.embeddings.limits import Limits

GOOD = {
    "x": {"dtype": "F32", "shape": [4, 2], "data_offsets": [0, 32]},
    "y": {"dtype": "I64", "shape": [4], "data_offsets": [32, 64]},
}
DATA = np.arange(8, dtype="<f4").tobytes() + np.array([0, 0, 1, 1], "<i8").tobytes()


@pytest.fixture
def tensors(tmp_path):
    def write(header, data=DATA, length=None):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        count = len(text) if length is None else length
        path = tmp_path / "a.safetensors"
        path.write_bytes(count.to_bytes(8, "little") + text + data)
        return path

    return write


def altered(**changes):
    return {**GOOD, "x": {**GOOD["x"], **changes}}


def test_the_honest_header_is_read(tensors, ingest):
    assert ingest(tensors(GOOD))["rows"] == 4


@pytest.mark.parametrize("length", [0, 1, 10**6, 2**63, 2**64 - 1])
def test_a_false_header_length(length, tensors, refusal):
    assert refusal(tensors(GOOD, length=length)).code == "bad_safetensors"


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"null",
        b"{",
        b"[" * 100_000,
        b"{\xff}",
        b'{"x": 1, "x": 2}',
        b'{"x": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 4]}}',
        altered(dtype="F33"),
        altered(dtype=["F32"]),
        altered(shape=[4, -2]),
        altered(shape=[4.0, 2.0]),
        altered(shape=[True, 8]),
        altered(shape="4,2"),
        altered(shape=[8, 2]),
        altered(data_offsets=[0, 31]),
        altered(data_offsets=[32, 0]),
        altered(data_offsets=[0]),
        altered(data_offsets=[40, 72]),
        altered(data_offsets=[32, 64]),
        altered(more=1),
        {"x": GOOD["x"]},
        {**GOOD, "__metadata__": {"a": 1}},
        {**GOOD, "__metadata__": []},
    ],
)
def test_false_headers(header, tensors, refusal):
    assert refusal(tensors(header)).code == "bad_safetensors"


def test_a_tensor_of_ten_to_the_twelve(tensors, refusal):
    problem = refusal(tensors(altered(shape=[10**12, 2])))
    assert problem.code == "array_too_large"
    assert "8,000,000,000,000 bytes" in problem.detail


def test_a_cut_or_padded_file(tensors, refusal):
    assert refusal(tensors(GOOD, DATA[:-1])).code == "bad_safetensors"
    assert refusal(tensors(GOOD, DATA + b"\0")).code == "bad_safetensors"


def test_too_many_tensors(tensors, refusal):
    problem = refusal(tensors(GOOD), limits=Limits(max_entries=1))
    assert problem.code == "archive_too_many_entries"


def test_a_nan_is_named(tensors, refusal):
    data = np.array([0, 1, 2, np.nan, 4, 5, 6, 7], "<f4").tobytes() + DATA[32:]
    problem = refusal(tensors(GOOD, data))
    assert problem.code == "non_finite_values"
    assert "NaN in row 1, value 1" in problem.detail


def test_integers_are_no_embeddings(tensors, refusal):
    assert refusal(tensors(altered(dtype="I32"))).code == "embedding_dtype"


@pytest.mark.parametrize("classes", ["{}", "[1]", "nonsense", '"ab"'])
def test_class_names_in_metadata_are_a_list(classes, tensors, refusal):
    problem = refusal(tensors({**GOOD, "__metadata__": {"classes": classes}}))
    assert problem.code == "bad_classes"

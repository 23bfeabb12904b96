"""Uploaded vectors of classes and subdomains: read by name, or refused in words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.embeddings.array_files import Upload
from models.embeddings.limits import Limits
from models.embeddings.vectors import read_vectors
from models.errors import InputProblem

Read = Callable[..., tuple[list[str], np.ndarray[Any, Any]]]
NAMES = np.array(["ant", "bee", "cat"])
A = np.array([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])
B = np.array([[1.0, 0.0, 0.0], [0.0, 5.0, 0.0], [1e300, 0.0, 1e300]])


@pytest.fixture
def read(out: Path) -> Read:
    def reading(path: Path, *arrays: str, field: str = "classes") -> Any:
        upload = Upload(path, path.name)
        return read_vectors(
            upload, arrays=arrays or ("vectors",), field=field, limits=Limits(), scratch=out
        )

    return reading


def test_vectors_come_back_by_name_at_length_one(npz: Any, read: Read) -> None:
    names, vectors = read(npz(vectors=A, classes=NAMES))
    assert names == ["ant", "bee", "cat"]
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 1], [-1, 0]], atol=1e-7)
    assert vectors.dtype == np.float32


def test_cosines_of_several_arrays_are_averaged(npz: Any, read: Read) -> None:
    _, both = read(npz(a=A, b=B, classes=NAMES), "a", "b")
    unit_a = A / np.linalg.norm(A, axis=1, keepdims=True)
    unit_b = np.array([[1, 0, 0], [0, 1, 0], [0.5**0.5, 0, 0.5**0.5]])
    np.testing.assert_allclose(
        both @ both.T, (unit_a @ unit_a.T + unit_b @ unit_b.T) / 2, atol=1e-6
    )


def test_one_file_may_serve_classes_and_subdomains(npz: Any, read: Read) -> None:
    path = npz(vectors=A, sites=B[:2], classes=NAMES, subdomains=["sea", "land"])
    assert read(path)[0] == ["ant", "bee", "cat"]
    names, vectors = read(path, "sites", field="subdomains")
    assert (names, vectors.shape) == (["sea", "land"], (2, 3))


def test_names_stand_for_either(npz: Any, read: Read) -> None:
    path = npz(vectors=A, names=NAMES)
    for field in ("classes", "subdomains"):
        assert read(path, field=field)[0] == ["ant", "bee", "cat"]


def test_parquet_has_a_name_and_a_list_a_row(tmp_path: Path, npz: Any, read: Read) -> None:
    table = pa.table({"name": NAMES, "a": list(A), "b": list(B)})
    pq.write_table(table, tmp_path / "v.parquet")
    names, vectors = read(tmp_path / "v.parquet", "a", "b", field="subdomains")
    expected = read(npz(a=A, b=B, names=NAMES), "a", "b")
    assert names == expected[0]
    np.testing.assert_array_equal(vectors, expected[1])


@pytest.mark.parametrize(
    ("arrays", "code", "words"),
    [
        ({"other": A, "classes": NAMES}, "column_missing", ["no 'vectors'", "'other'"]),
        ({"vectors": A}, "column_missing", ["no 'classes' and no 'names'"]),
        ({"vectors": A, "classes": NAMES[:2]}, "length_mismatch", ["3 rows", "2"]),
        ({"vectors": A, "classes": ["ant", "bee", "ant"]}, "bad_names", ["'ant'", "once"]),
        ({"vectors": A, "classes": ["ant", "", "cat"]}, "bad_names", ["no name in row 1"]),
        ({"vectors": A, "classes": [0.5, 1.5, 2.5]}, "bad_names", ["float64"]),
        ({"vectors": A * [[1], [0], [1]], "classes": NAMES}, "zero_vector", ["row 1", "'bee'"]),
        (
            {"vectors": A * [[1], [1], [np.nan]], "classes": NAMES},
            "non_finite_values",
            ["row 2", "'cat'"],
        ),
        ({"vectors": A[:, 0], "classes": NAMES}, "embedding_dim_mismatch", ["(3,)"]),
        ({"vectors": A.astype(int), "classes": NAMES}, "embedding_dtype", ["int64"]),
    ],
)
def test_vectors_that_are_no_use_are_refused_in_words(
    npz: Any, read: Read, arrays: dict[str, Any], code: str, words: list[str]
) -> None:
    with pytest.raises(InputProblem) as caught:
        read(npz(**arrays))
    assert caught.value.code == code
    assert all(word in caught.value.detail for word in words), caught.value.detail
    assert caught.value.param


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "empty_file", "0 bytes"),
        (b"\x80\x04\x95abcdefgh", "unsafe_pickle", "never opened"),
        (b"\x89HDF\r\n\x1a\n", "format_mismatch", "an HDF5 file; expected a zip archive"),
        (b"name,vector\n", "format_mismatch", "or a Parquet file"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, read: Read, content: bytes, code: str, words: str
) -> None:
    (tmp_path / "v.npz").write_bytes(content)
    with pytest.raises(InputProblem, match=words) as caught:
        read(tmp_path / "v.npz")
    assert caught.value.code == code

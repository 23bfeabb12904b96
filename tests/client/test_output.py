"""Synthetic rows in memory, from every format the service writes."""

import sys

import numpy as np
import pytest

from cultivar import ConfigurationError, CultivarError, Output
from cultivar._output import read_output
from workers.pipelines.outputs import Synthetic, write_synthetic

CLASSES = ("ash", "élan", "fir")
Y = np.array([2, 0, 0, 1], np.int64)
X = np.arange(20, dtype=np.float32).reshape(4, 5)


@pytest.mark.parametrize("form", ["npz", "parquet", "safetensors"])
def test_every_format_of_the_service_is_read(tmp_path, form):
    output = read_output(write_synthetic(tmp_path, Synthetic(X, Y, Y, CLASSES), form))
    x, y = output.to_numpy()
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    assert output.classes == CLASSES
    assert output.labels.tolist() == ["fir", "ash", "ash", "élan"]
    assert len(output) == 4


@pytest.mark.parametrize("form", ["npz", "parquet", "safetensors"])
def test_no_rows_are_rows_too(tmp_path, form):
    output = read_output(write_synthetic(tmp_path, Synthetic(X[:0], Y[:0], Y[:0], CLASSES), form))
    assert output.to_numpy()[0].shape == (0, 5)


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "synthetic.npz"
    np.savez(path, x=np.array([{}]), y=Y, classes=np.array(CLASSES))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_output(path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, (10).to_bytes(8, "little") + b"{}"])
def test_a_broken_safetensors_file_is_refused(tmp_path, content):
    path = tmp_path / "synthetic.safetensors"
    path.write_bytes(content)
    with pytest.raises(CultivarError):
        read_output(path)


def test_tensors_do_not_share_memory_with_the_arrays():
    torch = pytest.importorskip("torch")
    x, y = Output(X, Y, CLASSES).to_torch()
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    x[0, 0] = -1
    assert X[0, 0] == 0


def test_a_frame_has_a_column_a_dimension_and_the_labels_by_name():
    frame = Output(X, Y, CLASSES).to_pandas()
    assert frame.columns.tolist() == ["x0", "x1", "x2", "x3", "x4", "label"]
    assert frame["label"].tolist() == ["fir", "ash", "ash", "élan"]
    np.testing.assert_array_equal(frame.iloc[:, :-1].to_numpy(), X)


def test_a_frame_without_pandas_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(
        sys.modules, "pandas", None
    )  # an import of it now fails, as if it were not there
    with pytest.raises(ConfigurationError, match=r"cultivar\[pandas\]"):
        Output(X, Y, CLASSES).to_pandas()


def test_a_handful_of_words_stands_for_many_rows():
    rows, dim = X.shape
    assert repr(Output(X, Y, CLASSES)) == f"<Output {rows} rows × {dim}, {len(CLASSES)} classes>"

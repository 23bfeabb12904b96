"""Every form of output reads back as it was written, and equal rows give equal bytes."""

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.gelda.plan import item_seed
from workers.pipelines.outputs import read_synthetic, write_lineage, write_synthetic

CLASSES = ["añil", "b", "c"]
X = np.arange(50, dtype=np.float32).reshape(10, 5)
Y = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2], dtype=np.int64)
COUNTERS = np.array([0, 1, 2, 3, 0, 1, 2, 0, 1, 2], dtype=np.int64)

Form = Literal["npz", "parquet", "safetensors"]


@pytest.mark.parametrize("form", ["npz", "parquet", "safetensors"])
@pytest.mark.parametrize("rows", [10, 0])
def test_what_is_written_reads_back(tmp_path: Path, form: Form, rows: int) -> None:
    path = write_synthetic(tmp_path, X[:rows], Y[:rows], CLASSES, form)
    x, y, classes = read_synthetic(path, path.name)
    assert x.dtype == np.float32
    assert y.dtype == np.int64
    np.testing.assert_array_equal(x, X[:rows])
    np.testing.assert_array_equal(y, Y[:rows])
    assert classes == CLASSES


@pytest.mark.parametrize("form", ["npz", "parquet", "safetensors"])
def test_equal_rows_give_equal_bytes(tmp_path: Path, form: Form) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (write_synthetic(tmp_path / n, X, Y, CLASSES, form) for n in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_lineage_names_every_item_with_its_seed_and_hash(tmp_path: Path) -> None:
    path = write_lineage(tmp_path / "l.parquet", X, Y, COUNTERS, classes=CLASSES, seed=7)
    lines = pq.read_table(path).to_pylist()
    assert len({line["item_id"] for line in lines}) == 10
    line = lines[5]
    assert line["label"] == "b"
    assert line["is_synthetic"]
    assert line["parent_ids"] == []
    assert line["seed"] == item_seed(7, 1, 1)
    assert line["sha256"] == hashlib.sha256(X[5].tobytes()).hexdigest()
    assert line["decision"] == "kept"

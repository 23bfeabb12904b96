"""Every form of output reads back as it was written, and equal rows give equal bytes."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from models.seeds import item_seed
from workers.pipelines.outputs import Synthetic, read_synthetic, write_lineage, write_synthetic

CLASSES = ["añil", "b", "c"]
SUBDOMAINS = ["sea", "lánd"]
X = np.arange(50, dtype=np.float32).reshape(10, 5)
Y = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2], dtype=np.int64)
PARTS = np.array([0, 0, 1, 1, 0, 0, 1, 0, 1, 1], dtype=np.int64)
COUNTERS = np.array([0, 1, 0, 1, 0, 1, 0, 0, 0, 1], dtype=np.int64)

Form = Literal["npz", "parquet", "safetensors"]
FORMS = pytest.mark.parametrize("form", ["npz", "parquet", "safetensors"])


def synthetic(rows: int = 10, subdomains: bool = False) -> Synthetic:
    cells = Y * 2 + PARTS if subdomains else Y
    names = SUBDOMAINS if subdomains else []
    return Synthetic(X[:rows], cells[:rows], COUNTERS[:rows], CLASSES, names)


@FORMS
@pytest.mark.parametrize("rows", [10, 0])
@pytest.mark.parametrize("subdomains", [False, True])
def test_what_is_written_reads_back(
    tmp_path: Path, form: Form, rows: int, subdomains: bool
) -> None:
    path = write_synthetic(tmp_path, synthetic(rows, subdomains), form)
    x, y, classes = read_synthetic(path, path.name)
    assert x.dtype == np.float32
    assert y.dtype == np.int64
    np.testing.assert_array_equal(x, X[:rows])
    np.testing.assert_array_equal(y, Y[:rows])
    assert classes == CLASSES


def subdomains_of(path: Path) -> list[str]:
    """Return the subdomain of each row, by name, as a caller would read it."""
    if path.suffix == ".parquet":
        found: list[str] = pq.read_table(path).column("subdomain").to_pylist()
        return found
    columns: dict[str, Any]
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            columns = dict(arrays)
    else:
        with safe_open(path, framework="numpy") as file:
            columns = {"subdomain": file.get_tensor("subdomain")}
            columns["subdomains"] = json.loads(file.metadata()["subdomains"])
    return [str(columns["subdomains"][number]) for number in columns["subdomain"]]


@FORMS
def test_rows_of_cells_come_with_their_subdomain(tmp_path: Path, form: Form) -> None:
    path = write_synthetic(tmp_path, synthetic(subdomains=True), form)
    assert subdomains_of(path) == [SUBDOMAINS[part] for part in PARTS]


@FORMS
def test_equal_rows_give_equal_bytes(tmp_path: Path, form: Form) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (write_synthetic(tmp_path / n, synthetic(), form) for n in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_lineage_names_every_item_with_its_cell_seed_and_hash(tmp_path: Path) -> None:
    path = write_lineage(tmp_path / "l.parquet", synthetic(subdomains=True), seed=7)
    lines = pq.read_table(path).to_pylist()
    assert len({line["item_id"] for line in lines}) == 10
    line = lines[5]
    assert (line["label"], line["subdomain"]) == ("b", "sea")
    assert line["is_synthetic"]
    assert line["parent_ids"] == []
    assert line["seed"] == item_seed(7, 2, 1)
    assert line["sha256"] == hashlib.sha256(X[5].tobytes()).hexdigest()
    assert line["decision"] == "kept"


def test_lineage_without_subdomains_names_none(tmp_path: Path) -> None:
    path = write_lineage(tmp_path / "l.parquet", synthetic(), seed=7)
    assert pq.read_table(path).column("subdomain").to_pylist() == [None] * 10

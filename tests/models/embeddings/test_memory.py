"""Embeddings stream: what a dataset weighs on disk, it does not weigh in memory."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS, DIM = 60_000, 768  # 92 MB as float16
SCRIPT = """
import resource, sys
from pathlib import Path
from models.embeddings.canonical import read_embeddings
from models.embeddings.limits import Limits
from models.embeddings.spec import Columns
import pyarrow.parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
out, kind, *files = sys.argv[1:]
paths = [Path(file) for file in files]
manifest = read_embeddings(paths, [path.name for path in paths], format=kind, columns=Columns(), limits=Limits(), out=Path(out))
assert (manifest["rows"], manifest["dim"]) == (60_000, 768)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.fixture(scope="module")
def arrays():
    x = np.random.default_rng(0).integers(-2000, 2000, (ROWS, DIM)).astype(np.float16)
    return x, np.arange(ROWS) % 100


@pytest.mark.parametrize("kind", ["npy", "npz", "npz-columns", "parquet"])
def test_memory_does_not_grow_with_the_file(kind, arrays, tmp_path):
    x, y = arrays
    (tmp_path / "out").mkdir()
    path = tmp_path / f"x.{kind.partition('-')[0]}"
    files = [path]
    if kind == "npy":
        np.save(path, x)
        np.save(tmp_path / "y.npy", y)
        files.append(tmp_path / "y.npy")
    elif kind == "parquet":
        lists = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), DIM)
        table = pa.table({"x": lists, "y": y})
        pq.write_table(table, path, row_group_size=ROWS, use_dictionary=False, compression="none")
    else:
        np.savez(path, x=np.asfortranarray(x) if kind == "npz-columns" else x, y=y)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "out"), path.suffix[1:], *map(str, files)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    # Of a column-major array its own copy on disk is mapped, which the kernel counts as well.
    assert int(done.stdout) < (170 if kind == "npz-columns" else 80)

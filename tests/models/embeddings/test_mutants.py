"""Any bytes at all are either a dataset or a problem in words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from models.embeddings.canonical import read_embeddings
from models.embeddings.limits import Limits
from models.embeddings.spec import Columns
from models.errors import InputProblem

SHORT = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One honest dataset in each format; the file that is to be damaged comes last."""
    folder = tmp_path_factory.mktemp("honest")
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    y = np.arange(60) % 3
    np.savez(folder / "a.npz", x=x, y=y)
    np.savez_compressed(folder / "b.npz", x=x, y=y)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    save_file({"x": x, "y": y}, folder / "a.safetensors")
    table = pa.table({"x": list(x), "y": np.array(["p", "q", "r"])[y]})
    pq.write_table(table, folder / "a.parquet")
    for name, new in (("a.arrow", pa.ipc.new_file), ("b.arrow", pa.ipc.new_stream)):
        options = pa.ipc.IpcWriteOptions(compression="zstd" if name == "b.arrow" else None)
        with pa.OSFile(str(folder / name), "wb") as sink, new(sink, table.schema, options=options) as to:  # fmt: skip
            to.write_table(table)
    return folder


@pytest.mark.parametrize("name", ["a.npz", "b.npz", "x.npy", "a.safetensors", "a.parquet", "a.arrow", "b.arrow"])  # fmt: skip
def test_a_damaged_file_is_read_or_refused(name, files, tmp_path):
    names = ["y.npy", name] if name == "x.npy" else [name]
    script = Path(__file__).with_name("mutants.py")
    command = [sys.executable, str(script), name.rpartition(".")[2], "7", "400", str(tmp_path)]
    done = subprocess.run(
        [*command, *(str(files / each) for each in names)],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    outcome = json.loads(done.stdout)
    assert outcome["refused"] > 130  # or the damage does none
    assert done.stderr == ""


def read(path, kind, out):
    try:
        read_embeddings(
            [path], [path.name], format=kind, columns=Columns(), limits=Limits(), out=out
        )
    except InputProblem as problem:
        return problem.code
    return None


@SHORT
@given(header=st.text(alphabet=st.characters(max_codepoint=255), max_size=200), data=st.binary())
def test_any_npy_header(header, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("any")
    text = header.encode("latin-1")
    path = out / "in.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data)
    assert read(path, "npy", out) is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["x", "y", "dtype", "shape", "data_offsets", "__metadata__", "F32"]),
            inner,
        )
    ),
    max_leaves=12,
)


@SHORT
@given(header=JSON, data=st.binary(max_size=64))
def test_any_safetensors_header(header, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("any")
    text = json.dumps(header).encode()
    path = out / "in.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    assert read(path, "safetensors", out) is not None


@SHORT
@given(footer=st.binary(max_size=200))
def test_any_parquet_footer(footer, tmp_path_factory):
    out = tmp_path_factory.mktemp("any")
    path = out / "in.parquet"
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert read(path, "parquet", out) is not None


@SHORT
@given(tail=st.binary(max_size=200))
@pytest.mark.parametrize(("kind", "magic"), [("npz", b"PK\x03\x04"), ("npz", b"PK\x05\x06"), ("arrow", b"\xff\xff\xff\xff"), ("npy", b"\x93NUMPY")])  # fmt: skip
def test_any_bytes_behind_a_magic(kind, magic, tail, tmp_path_factory):
    out = tmp_path_factory.mktemp("any")
    path = out / f"in.{kind}"
    path.write_bytes(magic + tail)
    assert read(path, kind, out) is not None

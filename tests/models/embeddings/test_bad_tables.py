"""Parquet and Arrow tables that must be refused, each by row and column."""

import struct
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.embeddings.limits import Limits


@pytest.fixture(params=["parquet", "arrow", "stream"])
def table(request, tmp_path):
    """Write columns as a table of each kind; groups or batches of 70 rows."""

    def write(columns, schema=None):
        data = pa.table(columns, schema=schema)
        path = tmp_path / f"t.{'parquet' if request.param == 'parquet' else 'arrow'}"
        if request.param == "parquet":
            pq.write_table(data, path, row_group_size=70)
            return path
        new = pa.ipc.new_file if request.param == "arrow" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as sink, new(sink, data.schema) as to:
            to.write_table(data, max_chunksize=70)
        return path

    return write


def test_ragged_vectors_are_named_by_row(table, refusal, x, y):
    rows = [row.tolist() for row in x]
    rows[118] = rows[118][:3]
    rows[200] = [*rows[200], 0.0]
    problem = refusal(table({"x": rows, "y": y}))
    assert problem.code == "embedding_dim_mismatch"
    assert "row 118 has 3 values, row 0 has 5" in problem.detail
    assert "rows 118, 200" in problem.detail
    assert problem.param == "x"


@pytest.mark.parametrize("fixed", [False, True])
def test_a_missing_embedding_is_named(fixed, table, refusal, x, y):
    rows = [row.tolist() for row in x]
    rows[118] = None
    kind = pa.list_(pa.float32(), 5 if fixed else -1)
    problem = refusal(table({"x": pa.array(rows, kind), "y": y}))
    assert problem.code == "embedding_dim_mismatch"
    assert "row 118 has no embedding" in problem.detail


def test_a_null_within_an_embedding_is_named(table, refusal, x, y):
    rows = [row.tolist() for row in x]
    rows[118][2] = None
    problem = refusal(table({"x": rows, "y": y}))
    assert problem.code == "non_finite_values"
    assert "row 118" in problem.detail


def test_a_nan_is_named(table, refusal, x, y):
    x[118, 4] = np.nan
    problem = refusal(table({"x": list(x), "y": y}))
    assert problem.code == "non_finite_values"
    assert "NaN in row 118, value 4" in problem.detail


def test_empty_embeddings(table, refusal, y):
    problem = refusal(table({"x": pa.array([[]] * 300, pa.list_(pa.float32())), "y": y}))
    assert problem.code == "embedding_dim_mismatch"


@pytest.mark.parametrize("kind", [pa.float32(), pa.list_(pa.int64()), pa.string(), pa.list_(pa.list_(pa.float32()))])  # fmt: skip
def test_a_column_of_another_type(kind, table, refusal, y):
    problem = refusal(table({"x": pa.array([None] * 300, kind), "y": y}))
    assert problem.code == "embedding_dtype"
    assert str(kind)[:4] in problem.detail


def test_a_wrong_column_lists_what_there_is(table, refusal, x, y):
    problem = refusal(table({"embedding": list(x), "label": y}))
    assert problem.code == "column_missing"
    assert "'embedding', 'label'" in problem.detail


def test_names_plain_and_in_a_dictionary(table, ingest, x, y):
    names = pa.array(np.array(["ant", "bee", "cat"])[y])
    assert ingest(table({"x": list(x), "y": names}))["classes"] == ["ant", "bee", "cat"]
    encoded = {"x": list(x), "y": names.dictionary_encode()}
    assert ingest(table(encoded))["class_counts"]["cat"] == 100


@pytest.mark.parametrize("labels", [pa.nulls(300), pa.array([None] * 300, pa.string())])
def test_no_labels_at_all(labels, table, refusal, x):
    problem = refusal(table({"x": list(x), "y": labels}))
    assert problem.code == "label_missing"
    assert "and 290 more" in problem.detail


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.binary(), pa.list_(pa.int64())])
def test_labels_of_another_type(kind, table, refusal, x):
    value = {pa.binary(): b"a", pa.timestamp("s"): 0}.get(kind, [1])
    problem = refusal(table({"x": list(x), "y": pa.array([value] * 300, kind)}))
    assert problem.code == "label_type"


def test_two_columns_of_one_name(table, refusal, x, y):
    rows = pa.array(list(x))
    schema = pa.schema([("x", rows.type), ("y", pa.int64()), ("y", pa.int64())])
    problem = refusal(table([rows, pa.array(y), pa.array(y)], schema))
    assert problem.code == "duplicate_column"


def test_more_rows_or_bytes_than_are_taken(table, refusal, x, y):
    path = table({"x": list(x), "y": y})
    problem = refusal(path, limits=Limits(max_rows=299))
    assert problem.code == "table_too_large"
    problem = refusal(path, limits=Limits(max_array_bytes=3000))
    assert problem.code == "table_too_large"


def test_a_text_of_a_megabyte_repeated_is_not_expanded(table, refusal, x, y):
    names = pa.array(["a" * 1_000_000, "b"]).take(pa.array([0, 1] * 150)).dictionary_encode()
    problem = refusal(table({"x": list(x), "y": names}))
    assert problem.code == "text_too_long"


def test_a_parquet_bomb_is_known_by_its_footer(tmp_path, refusal):
    """Ten million rows of the same four zeros: run lengths make it a few kilobytes."""
    rows = 10_000_000
    x = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(4 * rows, np.float32)), 4)
    y = pa.array(np.zeros(rows, np.int8))
    pq.write_table(pa.table({"x": x, "y": y}), tmp_path / "bomb.parquet", compression="zstd")
    assert (tmp_path / "bomb.parquet").stat().st_size < 500_000
    before = time.monotonic()
    problem = refusal(tmp_path / "bomb.parquet")
    assert problem.code == "table_too_large"
    assert time.monotonic() - before < 1


def test_an_arrow_bomb_is_known_before_it_is_unpacked(tmp_path, refusal):
    rows = 10_000_000
    x = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(4 * rows, np.float32)), 4)
    table = pa.table({"x": x, "y": np.zeros(rows, np.int8)})
    path = tmp_path / "bomb.arrow"
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema, options=options) as to:  # fmt: skip
        to.write_table(table)
    assert path.stat().st_size < 500_000
    before = time.monotonic()
    assert refusal(path).code == "table_too_large"
    assert time.monotonic() - before < 1


def test_a_buffer_that_claims_a_petabyte(tmp_path, refusal, x, y):
    table = pa.table({"x": list(x), "y": y})
    path = tmp_path / "t.arrow"
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema, options=options) as to:  # fmt: skip
        to.write_table(table)
    data = path.read_bytes()
    honest = struct.pack("<q", 301 * 4)  # the offsets of the lists
    assert honest in data
    path.write_bytes(data.replace(honest, struct.pack("<q", 10**15), 1))
    assert refusal(path).code == "table_too_large"


def test_rows_without_bytes_are_counted(tmp_path, refusal):
    """A column of nulls has no buffer: its length costs its sender nothing."""
    batch = pa.record_batch([pa.nulls(10**9), pa.nulls(10**9)], ["x", "y"])
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_stream(sink, batch.schema) as to:  # fmt: skip
        to.write_batch(batch)
    problem = refusal(tmp_path / "t.arrow")
    assert problem.code == "table_too_large"
    assert "1,000,000,000 rows" in problem.detail


@pytest.mark.parametrize("claim", [0xD6, 0xDA])  # 299 and 301
def test_a_parquet_footer_that_claims_other_rows_than_its_groups(claim, tmp_path, refusal, x, y):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": list(x), "y": y}), path, compression="none")
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack_from("<I", data, len(data) - 8)
    footer = data[-8 - length : -8]
    honest = b"\x16\xd8\x04"  # a 64-bit field of 300; the first is the file's number of rows
    assert footer.count(honest) >= 2
    data[-8 - length : -8] = footer.replace(honest, bytes([0x16, claim, 0x04]), 1)
    path.write_bytes(data)
    assert refusal(path).code in ("table_too_large", "bad_parquet")


def test_extension_types_are_read_as_what_they_store(tmp_path, out, ingest, x, y):
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(x)
    pq.write_table(pa.table({"x": tensor, "y": y}), tmp_path / "t.parquet")
    ingest(tmp_path / "t.parquet")
    np.testing.assert_array_equal(np.load(out / "x.npy"), x)

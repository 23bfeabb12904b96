"""The same rows by whatever format, and what the canonical folder says of them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from models.embeddings.dataset import EmbeddingDataset
from models.embeddings.limits import Limits

CLASSES = ["ant", "bee", "cat"]


def load(out, manifest):
    files = {name: out / column["file"] for name, column in manifest["columns"].items()}
    return EmbeddingDataset.open(manifest, files)


def table(x, y, list_type=None):
    values = pa.array(list(x), list_type or pa.list_(pa.float32()))
    metadata = {"classes": json.dumps(CLASSES)}
    schema = pa.schema([("x", values.type), ("y", pa.int64())], metadata=metadata)
    return pa.table([values, pa.array(y)], schema=schema)


def write(kind, folder, x, y):
    """Write the same rows with classes in one of the formats and return the files."""
    path = folder / f"birds.{kind.split('-')[0]}"
    if kind == "npz":
        np.savez(path, x=x, y=y, classes=np.array(CLASSES))
    elif kind == "npz-compressed":
        np.savez_compressed(path, x=x, y=y, classes=np.array(CLASSES))
    elif kind == "npy":
        for name, array in (("x", x), ("y", y), ("classes", np.array(CLASSES))):
            np.save(folder / f"{name}.npy", array)
        return [folder / "y.npy", folder / "classes.npy", folder / "x.npy"]
    elif kind == "safetensors":
        save_file({"x": x, "y": y}, path, metadata={"classes": json.dumps(CLASSES)})
    elif kind.startswith("parquet"):
        list_type = pa.list_(pa.float32(), 5) if kind.endswith("fixed") else None
        pq.write_table(table(x, y, list_type), path, row_group_size=70)
    elif kind == "arrow-stream":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table(x, y).schema) as to:
            to.write_table(table(x, y), max_chunksize=70)
    else:
        options = pa.ipc.IpcWriteOptions(compression="zstd" if "zstd" in kind else None)
        schema = table(x, y).schema
        with (
            pa.OSFile(str(path), "wb") as sink,
            pa.ipc.new_file(sink, schema, options=options) as to,
        ):
            to.write_table(table(x, y), max_chunksize=70)
    return [path]


FORMATS = [
    "npz", "npz-compressed", "npy", "safetensors", "parquet", "parquet-fixed", "arrow",
    "arrow-zstd", "arrow-stream",
]  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_dataset(kind, tmp_path, out, ingest, x, y):
    manifest = ingest(*write(kind, tmp_path, x, y))
    dataset = load(out, manifest)
    np.testing.assert_array_equal(dataset.x, x)
    np.testing.assert_array_equal(dataset.y, y)
    assert isinstance(dataset.x, np.memmap)
    assert dataset.classes == ("ant", "bee", "cat")
    assert (dataset.split == -1).all()
    assert manifest["rows"] == len(dataset) == 300
    assert manifest["dim"] == dataset.dim == 5
    assert manifest["class_counts"] == {"ant": 100, "bee": 100, "cat": 100}
    json.dumps(manifest, allow_nan=False)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_small_block_changes_nothing(kind, tmp_path, out, ingest, x, y):
    manifest = ingest(*write(kind, tmp_path, x, y), limits=Limits(block_bytes=64))
    np.testing.assert_array_equal(load(out, manifest).x, x)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_cut_file_of_any_format_is_refused(kind, tmp_path, refusal, x, y):
    paths = write(kind, tmp_path, x, y)
    data = paths[-1].read_bytes()
    for keep in (1, 7, 20, len(data) // 2, len(data) - 1):
        paths[-1].write_bytes(data[:keep])
        if kind == "arrow-stream" and keep == len(data) - 1:
            continue  # within the optional mark of the stream's end
        problem = refusal(*paths)
        assert problem.code in {
            "format_mismatch", "truncated_file", "bad_safetensors", "bad_parquet", "bad_arrow",
            "bad_npy", "bad_archive",
        }  # fmt: skip


@pytest.mark.parametrize(("given", "kept"), [("<f2", "float16"), ("<f4", "float32"), (">f4", "float32"), ("<f8", "float32"), (">f8", "float32"), (">f2", "float16")])  # fmt: skip
@pytest.mark.parametrize("order", ["C", "F"])
def test_floats_of_any_width_byte_order_and_layout(given, kept, order, npz, out, ingest, x, y):
    stored = np.asarray(x.astype(given), order=order)
    manifest = ingest(npz(x=stored, y=y), limits=Limits(block_bytes=128))
    assert manifest["dtype"] == kept
    np.testing.assert_array_equal(load(out, manifest).x, x.astype(given).astype(kept))
    assert sorted(path.name for path in out.iterdir()) == ["split.npy", "x.npy", "y.npy"]


def test_parts_of_different_widths_meet_in_float32(npz, out, ingest, x, y):
    manifest = ingest(npz(x=x.astype("f2"), y=y, x_test=x, y_test=y))
    assert manifest["dtype"] == "float32"
    np.testing.assert_array_equal(load(out, manifest).x[300:], x)


def test_bfloat16_tensors_become_float32(tmp_path, out, ingest, x, y):
    halves = (x.view(np.uint32) >> 16).astype("<u2")
    header = {
        "x": {"dtype": "BF16", "shape": [300, 5], "data_offsets": [0, 3000]},
        "y": {"dtype": "I64", "shape": [300], "data_offsets": [3000, 5400]},
    }
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + halves.tobytes() + y.astype("<i8").tobytes()
    (tmp_path / "b.safetensors").write_bytes(data)
    expected = (x.view(np.uint32) >> 16 << 16).view(np.float32)
    np.testing.assert_array_equal(load(out, ingest(tmp_path / "b.safetensors")).x, expected)


def test_two_npy_files_of_any_name_are_taken_in_order(tmp_path, out, ingest, x, y):
    np.save(tmp_path / "features.npy", x)
    np.save(tmp_path / "targets.npy", y)
    manifest = ingest(tmp_path / "features.npy", tmp_path / "targets.npy")
    np.testing.assert_array_equal(load(out, manifest).y, y)


def test_several_tables_follow_each_other(tmp_path, out, ingest, x, y):
    for name, rows in (("a", slice(0, 100)), ("b", slice(100, 300))):
        pq.write_table(table(x[rows], y[rows]), tmp_path / f"{name}.parquet")
    manifest = ingest(tmp_path / "a.parquet", tmp_path / "b.parquet")
    np.testing.assert_array_equal(load(out, manifest).x, x)


def test_progress_reaches_the_number_of_rows(tmp_path, npz, out, x, y):
    from models.embeddings.canonical import read_embeddings
    from models.embeddings.spec import Columns

    seen = []
    read_embeddings(
        [npz(x=x, y=y)], ["birds.npz"], format="npz", columns=Columns(),
        limits=Limits(block_bytes=1000), out=out, on_progress=seen.append,
    )  # fmt: skip
    assert seen == [50, 100, 150, 200, 250, 300]


def test_duplicates_are_counted_with_leaks_and_contradictions(npz, ingest, x, y):
    x[10] = x[13]  # same label
    x[20] = x[21]  # other label
    x_test, y_test = x[[30, 31]], y[[30, 31]]
    stats = ingest(npz(x=x, y=y, x_test=x_test, y_test=y_test))["stats"]
    assert stats["duplicate_rows"] == 4
    assert stats["duplicates_across_splits"] == 2
    assert stats["duplicates_with_other_label"] == 1
    assert stats["rejected_rows"] == []


def test_a_dataset_opens_only_with_its_own_files(npz, out, ingest, x, y):
    manifest = ingest(npz(x=x, y=y))
    with pytest.raises(ValueError, match="expected x of"):
        load(out, {**manifest, "rows": 299})

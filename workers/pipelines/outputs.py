"""Synthetic latents as files: npz, Parquet or safetensors, with their lineage beside them."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open
from safetensors.numpy import save_file

from models.gelda.plan import item_seed

Latents = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

MEDIA_TYPES = {
    ".npz": "application/x-npz",
    ".npy": "application/x-npy",
    ".parquet": "application/vnd.apache.parquet",
    ".safetensors": "application/vnd.safetensors",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}

_GROUP_ROWS = 16_384

_LINEAGE = pa.schema(
    [
        ("item_id", pa.string()),
        ("is_synthetic", pa.bool_()),
        ("parent_ids", pa.list_(pa.string())),
        ("label", pa.string()),
        ("subdomain", pa.string()),
        ("method", pa.string()),
        ("seed", pa.uint64()),
        ("prompt", pa.string()),
        ("scores", pa.map_(pa.string(), pa.float64())),
        ("decision", pa.string()),
        ("sha256", pa.string()),
    ]
)


def write_synthetic(
    folder: Path,
    x: Latents,
    y: Labels,
    classes: Sequence[str],
    form: Literal["npz", "parquet", "safetensors"],
) -> Path:
    """Write ``synthetic.<form>``: x float32 n × dim, y int64 n, the classes' names.

    Equal rows give equal bytes: no file carries a time.
    """
    path = folder / f"synthetic.{form}"
    if form == "npz":
        np.savez(path, x=x, y=y, classes=np.array(list(classes), dtype=np.str_))
    elif form == "safetensors":
        save_file(
            {"x": np.ascontiguousarray(x), "y": y}, path, {"classes": json.dumps(list(classes))}
        )
    else:
        _write_parquet(path, x, y, classes)
    return path


def _write_parquet(path: Path, x: Latents, y: Labels, classes: Sequence[str]) -> None:
    dim = x.shape[1]
    schema = pa.schema(
        [("x", pa.list_(pa.float32(), dim)), ("y", pa.int64()), ("label", pa.string())],
        metadata={"classes": json.dumps(list(classes))},
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in _groups(len(y)):
            latents = pa.FixedSizeListArray.from_arrays(
                pa.array(np.ascontiguousarray(x[rows]).reshape(-1)), dim
            )
            labels = pa.array([classes[label] for label in y[rows]], pa.string())
            writer.write_table(pa.table([latents, pa.array(y[rows]), labels], schema=schema))


def write_lineage(
    path: Path, x: Latents, y: Labels, counters: Labels, *, classes: Sequence[str], seed: int
) -> Path:
    """Write one line an item: where it came from, with what seed, and the hash of its float32 bytes.

    A latent drawn from noise has no parents. Its id names class and counter, from which, with the
    job's seed, its own seed follows.
    """
    with pq.ParquetWriter(path, _LINEAGE, compression="zstd") as writer:
        for rows in _groups(len(y)):
            lines = [
                _line(x[row], int(y[row]), int(counters[row]), classes, seed)
                for row in range(rows.start, rows.stop)
            ]
            writer.write_table(pa.Table.from_pylist(lines, schema=_LINEAGE))
    return path


def _line(
    latent: Latents, label: int, counter: int, classes: Sequence[str], seed: int
) -> dict[str, Any]:
    return {
        "item_id": f"{label}-{counter}",
        "is_synthetic": True,
        "parent_ids": [],
        "label": classes[label],
        "subdomain": None,
        "method": "gelda",
        "seed": item_seed(seed, label, counter),
        "prompt": None,
        "scores": {},
        "decision": "kept",
        "sha256": hashlib.sha256(latent.tobytes()).hexdigest(),
    }


def _groups(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _GROUP_ROWS):
        yield slice(start, min(rows, start + _GROUP_ROWS))


def read_synthetic(path: Path, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any], list[str]]:
    """Return latents, labels and class names of a file that `write_synthetic` wrote."""
    suffix = Path(name).suffix
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["x"], arrays["y"], [str(one) for one in arrays["classes"]]
    if suffix == ".safetensors":
        with safe_open(path, framework="numpy") as file:
            classes = json.loads(file.metadata()["classes"])
            return file.get_tensor("x"), file.get_tensor("y"), classes
    table = pq.read_table(path)
    x = table.column("x").combine_chunks()
    dim = table.schema.field("x").type.list_size
    values = x.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
    return values, table.column("y").to_numpy(), json.loads(table.schema.metadata[b"classes"])

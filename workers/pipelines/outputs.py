"""Synthetic latents as files: npz, Parquet or safetensors, with their lineage beside them."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open
from safetensors.numpy import save_file

from models.seeds import item_seed

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
    ".zip": "application/zip",
    ".png": "image/png",
    ".jsonl": "application/jsonl",
    ".tar": "application/x-tar",
}

_GROUP_ROWS = 16_384

LINEAGE = pa.schema(
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


@dataclass(frozen=True)
class Synthetic:
    """Rows to hand out.

    Attributes:
        x: (n, dim) float32.
        cells: (n,) class · S + subdomain; the class where there are no subdomains.
        counters: (n,) numbers of the items within their cell.
        classes: names, K.
        subdomains: names, S; none where the generator knows no subdomains.
    """

    x: Latents
    cells: Labels
    counters: Labels
    classes: Sequence[str]
    subdomains: Sequence[str] = ()

    @property
    def y(self) -> Labels:
        """Class of each row."""
        return self.cells // max(1, len(self.subdomains))

    @property
    def subdomain(self) -> Labels | None:
        """Subdomain of each row; None where there are none."""
        return self.cells % len(self.subdomains) if self.subdomains else None


def write_synthetic(
    folder: Path, rows: Synthetic, form: Literal["npz", "parquet", "safetensors"]
) -> Path:
    """Write ``synthetic.<form>``: x float32 n × dim, y int64 n, the classes' names; the same of
    subdomains (`subdomain`, `subdomains`) where there are any.

    Equal rows give equal bytes: no file carries a time.
    """
    path = folder / f"synthetic.{form}"
    names = {"classes": list(rows.classes)}
    columns = {"x": np.ascontiguousarray(rows.x), "y": rows.y}
    if rows.subdomain is not None:
        names["subdomains"], columns["subdomain"] = list(rows.subdomains), rows.subdomain
    if form == "npz":
        texts = {name: np.array(values, dtype=np.str_) for name, values in names.items()}
        arrays: dict[str, Any] = {**columns, **texts}
        np.savez(path, **arrays)
    elif form == "safetensors":
        save_file(columns, path, {name: json.dumps(values) for name, values in names.items()})
    else:
        _write_parquet(path, rows, names)
    return path


def _write_parquet(path: Path, rows: Synthetic, names: Mapping[str, list[str]]) -> None:
    dim, y, subdomain = rows.x.shape[1], rows.y, rows.subdomain
    fields = [("x", pa.list_(pa.float32(), dim)), ("y", pa.int64()), ("label", pa.string())]
    if subdomain is not None:
        fields.append(("subdomain", pa.string()))
    texts = {name: json.dumps(values) for name, values in names.items()}
    schema = pa.schema(fields, metadata=texts)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for part in _groups(len(y)):
            latents = pa.FixedSizeListArray.from_arrays(
                pa.array(np.ascontiguousarray(rows.x[part]).reshape(-1)), dim
            )
            labels = pa.array([rows.classes[label] for label in y[part]], pa.string())
            columns = [latents, pa.array(y[part]), labels]
            if subdomain is not None:
                columns.append(pa.array([rows.subdomains[s] for s in subdomain[part]], pa.string()))
            writer.write_table(pa.table(columns, schema=schema))


def write_lineage(path: Path, rows: Synthetic, seed: int) -> Path:
    """Write one line an item: where it came from, with what seed, and the hash of its float32 bytes.

    A latent drawn from noise has no parents. Its id names cell and counter, from which, with the
    job's seed, its own seed follows.
    """
    with pq.ParquetWriter(path, LINEAGE, compression="zstd") as writer:
        for part in _groups(len(rows.cells)):
            lines = [_line(rows, row, seed) for row in range(part.start, part.stop)]
            writer.write_table(pa.Table.from_pylist(lines, schema=LINEAGE))
    return path


def _line(rows: Synthetic, row: int, seed: int) -> dict[str, Any]:
    cell, counter = int(rows.cells[row]), int(rows.counters[row])
    label, part = divmod(cell, max(1, len(rows.subdomains)))
    return {
        "item_id": f"{cell}-{counter}",
        "is_synthetic": True,
        "parent_ids": [],
        "label": rows.classes[label],
        "subdomain": rows.subdomains[part] if rows.subdomains else None,
        "method": "gelda",
        "seed": item_seed(seed, cell, counter),
        "prompt": None,
        "scores": {},
        "decision": "kept",
        "sha256": hashlib.sha256(rows.x[row].tobytes()).hexdigest(),
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

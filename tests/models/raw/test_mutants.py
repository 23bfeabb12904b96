"""Damaged copies of honest files: read, or refused with a code, and never anything else."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import InputProblem
from models.raw.canonical import read_raw
from models.raw.limits import MiB, RawLimits
from models.raw.spec import RawColumns
from tests.models.raw.conftest import folders, png, tar_bytes

MUTANTS = 60


@pytest.fixture
def honest(zipped, tmp_path):
    """Return the bytes of a file of each format, and its modality."""
    images = folders(png, ".png", 8)
    rows = [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(8)]
    csv = "text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in rows)
    metadata = "file_name,label\n" + "".join(f"{name},{name[0]}\n" for name in images)
    shard = {f"{i}.png": png(i) for i in range(8)} | {
        f"{i}.cls": b"01"[i % 2 :][:1] for i in range(8)
    }
    table = pa.table(
        {"image": [{"bytes": png(i), "path": "x"} for i in range(8)], "label": [0, 1] * 4}
    )
    pq.write_table(table, tmp_path / "table")
    return {
        "zip": (zipped({**images, "metadata.csv": metadata.encode()}).read_bytes(), "image"),
        "tar": (tar_bytes(images)[:-8000], "image"),
        "tar.gz": (gzip.compress(tar_bytes(images)), "image"),
        "webdataset": (tar_bytes(shard)[:-8000], "image"),
        "parquet": ((tmp_path / "table").read_bytes(), "image"),
        "csv": (csv.encode(), "text"),
        "jsonl": ("\n".join(map(json.dumps, rows)).encode(), "text"),
    }


def mutated(data, generator):
    """Return a copy with bytes changed, a piece cut out, or a piece doubled."""
    changed = bytearray(data)
    kind = generator.integers(0, 4)
    start, length = generator.integers(0, len(data)), generator.integers(1, 200)
    if kind == 0:
        del changed[start : start + length]
    elif kind == 1:
        changed[start:start] = changed[start : start + length]
    else:
        for place in generator.integers(0, len(data), 1 + kind):
            changed[place] = generator.choice([0, 1, 34, 127, 128, 255, generator.integers(0, 256)])
    return bytes(changed)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "webdataset", "parquet", "csv", "jsonl"])
def test_damage_anywhere_is_an_answer(kind, honest, tmp_path):
    data, modality = honest[kind]
    generator = np.random.default_rng(0)
    limits = RawLimits(max_array_bytes=64 * MiB, max_item_bytes=MiB)
    refused = 0
    for number in range(MUTANTS):
        path, out = tmp_path / "mutant", tmp_path / f"out{number}"
        path.write_bytes(mutated(data, generator))
        out.mkdir()
        try:
            manifest = read_raw(
                [path], ["mutant"], modality=modality, format="tar" if kind == "tar.gz" else kind,
                columns=RawColumns(max_bad_share=1), limits=limits, out=out,
            )  # fmt: skip
            assert 2 <= manifest["rows"] <= 30  # a piece that is doubled may be some more lines
        except InputProblem:
            refused += 1
    assert refused

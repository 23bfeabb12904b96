"""Raw data through the real decoding process: within its limits, and never at the task's cost."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from app.settings import Settings
from models.errors import InputProblem
from models.raw.dataset import RawDataset
from workers.decoding import decode
from workers.task import TaskRun


@pytest.fixture
def task(tmp_path: Path) -> TaskRun:
    (tmp_path / "out").mkdir()
    stands_in = SimpleNamespace(
        scratch=tmp_path,
        settings=Settings(home=tmp_path),
        progress=lambda _value, _max: None,
        should_stop=lambda: False,
    )
    return cast("TaskRun", stands_in)


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def read(task: TaskRun, path: Path, kind: str, **columns: Any) -> dict[str, Any]:
    request = {"what": "raw", "modality": "image", "format": kind, "columns": columns}
    files = {"files": [str(path)], "filenames": [path.name], "out": str(path.parent / "out")}
    return decode(task, request | files)


def archive(folder: Path, **more: bytes) -> Path:
    with zipfile.ZipFile(folder / "set.zip", "w") as file:
        for i in range(20):
            file.writestr(f"{'ab'[i % 2]}/{i}.png", picture(i))
        for name, data in more.items():
            file.writestr(f"a/{name}.png", data)
    return folder / "set.zip"


def test_images_are_read_within_the_limits(task: TaskRun, tmp_path: Path) -> None:
    manifest = read(task, archive(tmp_path, bad=b"text"), "zip")
    files = {name: tmp_path / "out" / entry["file"] for name, entry in manifest["columns"].items()}
    dataset = RawDataset.open(manifest, files)
    assert [dataset.item(row) for row in range(20)] == [picture(i) for i in range(20)]
    assert [entry["name"] for entry in manifest["stats"]["rejected_items"]] == ["a/bad.png"]


def test_a_bad_archive_is_a_problem_of_its_own_code(task: TaskRun, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        file.writestr("../escaped.png", picture(0))
    with pytest.raises(InputProblem) as caught:
        read(task, tmp_path / "set.zip", "zip")
    assert caught.value.code == "archive_unsafe_entry"


def test_memory_that_a_file_takes_is_bounded(task: TaskRun, tmp_path: Path) -> None:
    """One value of 30 MB that stands for 16 rows: half a GB, where 300 MiB are given in all."""
    indices = pa.array([0] * 16)
    column = pa.DictionaryArray.from_arrays(indices, pa.array([bytes(30 << 20)]))
    table = pa.table({"image": column, "label": [0, 1] * 8})
    # Without Arrow's schema the column is read as plain bytes.
    pq.write_table(
        table, tmp_path / "set.parquet", dictionary_pagesize_limit=256 << 20, store_schema=False
    )
    assert (tmp_path / "set.parquet").stat().st_size < 2 << 20
    # Less than nothing for data: a GiB is given for code, which takes a fifth of it.
    task.settings = task.settings.model_copy(update={"decode_memory_bytes": (300 - 1024) << 20})
    with pytest.raises(InputProblem) as caught:
        read(task, tmp_path / "set.parquet", "parquet")
    # Where Arrow cannot even say that there is no memory left, its process ends.
    assert caught.value.code in ("table_too_large", "decoding_failed")


def test_time_that_a_file_takes_is_bounded(task: TaskRun, tmp_path: Path) -> None:
    task.settings = task.settings.model_copy(update={"decode_seconds": 0.0})
    with pytest.raises(InputProblem) as caught:
        read(task, archive(tmp_path), "zip")
    assert caught.value.code == "decoding_failed"


def test_embeddings_are_decoded_without_what_decodes_images_and_sound() -> None:
    code = "import sys, workers.decoder; print({'PIL', 'soundfile', 'soxr'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

"""Synthetic images as files: names that are safe and distinct, lineage, equal bytes."""

import hashlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from models.seeds import item_seed
from workers.pipelines.image_outputs import Origin, folder_names, write_images
from workers.pipelines.image_shards import Shard

CLASSES = ("owl", "a/b", "añil")
ORIGIN = Origin(CLASSES, np.array([4, 7, 9]), ["x.png", "owl/ÿ.png", "17"], seed=7)


def shard(first: int = 0, items: int = 4, side: int = 8) -> Shard:
    counters = np.arange(first, first + items)
    pixels = np.random.default_rng(first).integers(0, 256, (items, side, side, 3), dtype=np.uint8)
    parents = np.tile([[1, 2, 1]], (items, 1))
    weights = np.tile(np.float32([[0.75, 0.25, 0]]), (items, 1))
    return Shard(pixels, counters % 3, counters, parents, weights)


def read(path: Path) -> tuple[dict[str, bytes], list[dict[str, object]]]:
    """Return the images of an archive by name, and the lines of its metadata."""
    with zipfile.ZipFile(path) as archive:
        lines = archive.read("metadata.jsonl").decode().splitlines()
        names = [name for name in archive.namelist() if name != "metadata.jsonl"]
        return {name: archive.read(name) for name in names}, [json.loads(line) for line in lines]


def test_each_image_lies_in_its_class_folder_and_its_line_says_where_it_is_from(
    tmp_path: Path,
) -> None:
    made = shard()
    archive, _ = write_images(tmp_path, [made], ORIGIN)
    images, lines = read(archive)
    assert [line["file_name"] for line in lines] == list(images)
    assert list(images) == ["owl/0-0.png", "a_b-1/1-1.png", "añil/2-2.png", "owl/0-3.png"]
    for line, content, pixels in zip(lines, images.values(), made.images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)
        assert line["sha256"] == hashlib.sha256(content).hexdigest()
    line = lines[1]
    assert (line["label"], line["item_id"], line["method"]) == ("a/b", "1-1", "glico")
    assert (line["parents"], line["parent_rows"]) == (["owl/ÿ.png", "17"], [7, 9])
    assert line["weights"] == [0.75, 0.25]
    # As text: a reader that knows no integers above 2⁶³ would round it.
    assert line["seed"] == str(item_seed(7, 1, 1))


def test_lineage_is_that_of_other_jobs_with_rows_and_shares(tmp_path: Path) -> None:
    archive, lineage = write_images(tmp_path, [shard()], ORIGIN)
    rows = pq.read_table(lineage).to_pylist()
    _, lines = read(archive)
    assert [row["file_name"] for row in rows] == [line["file_name"] for line in lines]
    assert [row["sha256"] for row in rows] == [line["sha256"] for line in lines]
    row = rows[2]
    assert (row["item_id"], row["label"], row["is_synthetic"]) == ("2-2", "añil", True)
    assert (row["parent_ids"], row["parent_rows"]) == (["owl/ÿ.png", "17"], [7, 9])
    assert row["parent_weights"] == [0.75, 0.25]
    assert (row["seed"], row["decision"]) == (item_seed(7, 2, 2), "kept")


def test_equal_images_are_equal_bytes_however_they_are_cut_into_shards(tmp_path: Path) -> None:
    whole = shard(0, 6)
    parts = [
        Shard(*(getattr(whole, name)[rows] for name in
                ("images", "cells", "counters", "parents", "weights")))
        for rows in (slice(0, 2), slice(2, 6))
    ]  # fmt: skip
    for name, shards in (("a", [whole]), ("b", parts)):
        (tmp_path / name).mkdir()
        write_images(tmp_path / name, shards, ORIGIN)
    for file in ("synthetic.zip", "lineage.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_no_images_are_an_archive_too(tmp_path: Path) -> None:
    archive, lineage = write_images(tmp_path, [], ORIGIN)
    assert read(archive) == ({}, [])
    assert pq.read_table(lineage).num_rows == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lineage.parquet", "synthetic.zip"]


def test_memory_holds_one_shard_at_a_time(tmp_path: Path) -> None:
    """Twenty shards of half a megabyte, of images as hard to compress as any."""

    def many() -> Iterator[Shard]:
        for number in range(20):
            yield shard(number * 8, 8, 148)

    write_images(tmp_path, [shard()], ORIGIN)  # what is imported on the way stays
    tracemalloc.start()
    archive, _ = write_images(tmp_path, many(), ORIGIN)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert archive.stat().st_size > 10_000_000
    assert peak < 4_000_000


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["owl", "Ant 2", "añil", "हिंदी", "a.b-c_d"], ["owl", "Ant 2", "añil", "हिंदी", "a.b-c_d"]),
        (["a/b", "a\\b", "a_b"], ["a_b-0", "a_b-1", "a_b"]),
        (["Owl", "owl", "OWL"], ["Owl", "owl-1", "OWL-2"]),
        (["..", ".", "../../etc", "-rf"], ["class_-0", "class_-1", "_.._etc-2", "-rf"]),
        (
            ["con", "NUL.txt", "metadata.jsonl"],
            ["class_con-0", "class_NUL.txt-1", "metadata.jsonl-2"],
        ),
        (["e\u0301", "\u00e9"], ["é-0", "é"]),
        (["a*", "a_-0"], ["a_-0-", "a_-0"]),
        ([" lead", "trail. ", "tab\t"], ["lead-0", "trail-1", "tab_-2"]),
    ],
    ids=lambda names: names[0],
)
def test_folders_are_safe_and_distinct_on_every_file_system(
    classes: list[str], expected: list[str]
) -> None:
    assert folder_names(classes) == expected
    assert len({name.casefold() for name in expected}) == len(classes)


def test_long_names_are_cut_between_letters_and_stay_distinct() -> None:
    names = folder_names(["é" * 300, "é" * 301])
    assert len(set(names)) == 2
    assert all(len(name.encode()) < 100 and name.startswith("ééé") for name in names)

"""WebDataset shards: what lies beside each image says what it is."""

import gzip
import json

import pytest

from models.raw.limits import RawLimits
from tests.models.raw.conftest import clip, png, tar_bytes


def shard(write, ending=".jpg", first=0, count=20, make=png):
    """Return files of a shard; ``write(i)`` gives what stands beside image i, by extension."""
    files = {}
    for i in range(first, first + count):
        files[f"{i:05}{ending}"] = make(i)
        files |= {f"{i:05}.{name}": str(text).encode() for name, text in write(i).items()}
    return files


@pytest.fixture
def read(tarred, ingest, opened):
    def run(files, **options):
        manifest = ingest(tarred(files), format="webdataset", **options)
        return manifest, opened(manifest)

    return run


def test_classes_by_number(read, ids):
    manifest, dataset = read(shard(lambda i: {"cls": (2, 10)[i % 2]}, ".png"))
    assert manifest["classes"] == ["2", "10"]
    assert dataset.y.tolist() == [0, 1] * 10
    assert dataset.item(7) == png(7)
    assert ids()[:2] == ["00000", "00001"]


def test_fields_of_json(read):
    def fields(i):
        return {"json": json.dumps({"label": "ab"[i % 2], "who": i // 2, "part": "train"})}

    manifest, dataset = read(shard(fields, ".png"), group="who", split="part")
    assert manifest["classes"] == ["a", "b"]
    assert dataset.group.tolist() == [i // 2 for i in range(20)]
    assert manifest["splits"]["train"] == 20


def test_a_class_name_in_a_text_file(read):
    manifest, _ = read(shard(lambda i: {"txt": ("ant\n", "bee")[i % 2]}, ".png"))
    assert manifest["class_counts"] == {"ant": 10, "bee": 10}


def test_a_value_in_a_file_of_its_own_name(read):
    manifest, _ = read(
        shard(lambda i: {"species": "ab"[i % 2], "site": "xy"[i // 10]}, ".png"),
        label="species",
        subdomain="site",
    )
    assert manifest["cell_counts"] == {"a": {"x": 5, "y": 5}, "b": {"x": 5, "y": 5}}


def test_folders_of_keys_are_splits(read):
    files = shard(lambda i: {"cls": i % 2}, ".png")
    files = {
        f"{'test' if name < '00005' else 'train'}/{name}": data for name, data in files.items()
    }
    manifest, _ = read(files)
    assert (manifest["splits"]["test"], manifest["splits"]["train"]) == (5, 15)


def test_clips_in_compressed_shards(saved, ingest, opened):
    paths = [
        saved(f"{first}.tar", gzip.compress(tar_bytes(
            shard(lambda i: {"cls": i % 2}, ".wav", first, 10, clip)
        )))
        for first in (0, 10)
    ]  # fmt: skip
    manifest = ingest(*paths, format="webdataset", modality="audio")
    assert manifest["rows"] == 20
    assert opened(manifest).item(15) == clip(15)


def test_a_bad_image_is_named(read):
    files = shard(lambda i: {"cls": i % 2}, ".png") | {"00003.png": b"text"}
    manifest, dataset = read(files)
    (entry,) = manifest["stats"]["rejected_items"]
    assert (entry["name"], entry["code"]) == ("00003.png", "not_an_image")
    assert dataset.y.tolist() == [i % 2 for i in range(20) if i != 3]


def refused(files, tarred, refusal, **options):
    return refusal(tarred(files), format="webdataset", **options)


def test_a_sample_without_its_label(tarred, refusal):
    problem = refused(shard(lambda i: {"cls": 1} if i != 4 else {}, ".png"), tarred, refusal)
    assert problem.code == "label_missing"
    assert "row 4 " in problem.detail


def test_a_sample_without_an_image(tarred, refusal):
    problem = refused({"1.png": png(), "1.cls": b"0", "2.cls": b"1"}, tarred, refusal)
    assert problem.code == "bad_layout"
    assert "'2'" in problem.detail


def test_a_column_that_no_sample_has(tarred, refusal):
    problem = refused(shard(lambda i: {"cls": i % 2}, ".png"), tarred, refusal, group="who")
    assert (problem.code, problem.param) == ("column_missing", "columns.group")


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000])
def test_json_that_is_none(text, tarred, refusal):
    problem = refused(shard(lambda _: {"json": text}, ".png"), tarred, refusal)
    assert problem.code == "bad_jsonl"
    assert "00000.json" in problem.detail


def test_a_label_that_is_a_list(tarred, refusal):
    problem = refused(shard(lambda _: {"json": '{"label": [1]}'}, ".png"), tarred, refusal)
    assert problem.code == "label_type"


def test_a_label_file_of_megabytes(tarred, refusal):
    files = shard(lambda _: {"cls": "1" * 5000}, ".png")
    problem = refused(files, tarred, refusal, limits=RawLimits(max_sidecar=4000))
    assert problem.code == "table_too_large"

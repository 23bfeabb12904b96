"""What reading leaves behind: one folder that every job maps, and statistics of it."""

import json

import numpy as np
import pytest
from PIL import Image

from models.raw.canonical import read_raw
from models.raw.dataset import RawDataset
from models.raw.limits import RawLimits
from models.raw.spec import RAW_FORMATS, RawColumns
from tests.models.raw.conftest import clip, encoded, picture, png, sound


def test_the_folder_holds_what_the_manifest_names_and_nothing_else(images, zipped, ingest, out):
    rows = [
        "file_name,label,site,who",
        *(f"{name},{name[:3]},x,{i}" for i, name in enumerate(images)),
    ]
    path = zipped({**images, "metadata.csv": "\n".join(rows).encode()})
    manifest = ingest(path, subdomain="site", group="who")
    named = {column["file"] for column in manifest["columns"].values()}
    assert set(manifest["columns"]) == {
        "items", "offsets", "y", "split", "subdomain", "group", "id", "thumbnails",
    }  # fmt: skip
    assert named == {path.name for path in out.iterdir()}


def test_a_manifest_is_json_and_has_its_keys(images, zipped, ingest):
    manifest = ingest(zipped(images))
    assert json.loads(json.dumps(manifest)) == manifest
    assert {key: manifest[key] for key in ("modality", "rows", "subdomains", "groups", "unlabelled")} == {
        "modality": "image", "rows": 20, "subdomains": None, "groups": None, "unlabelled": 0,
    }  # fmt: skip
    assert manifest["stats"]["rejected_items"] == []


def test_types_are_those_of_embeddings(images, zipped, ingest, opened):
    dataset = opened(ingest(zipped(images)))
    assert (dataset.y.dtype, dataset.split.dtype, dataset.offsets.dtype) == (
        np.int64,
        np.int8,
        np.int64,
    )
    assert len(dataset) == 20


def test_sizes_of_images(zipped, ingest):
    sizes = [(10, 4), (12, 6), (14, 8), (16, 2)]
    files = {f"{'ab'[i % 2]}/{i}.png": png(i, size=size) for i, size in enumerate(sizes)}
    files["a/4.jpg"] = encoded(picture(4, (100, 50)), "JPEG")
    stats = ingest(zipped(files))["stats"]
    assert stats["sizes"] == {
        "width": {"min": 10, "median": 14, "max": 100}, "height": {"min": 2, "median": 6, "max": 50},
    }  # fmt: skip
    assert stats["formats"] == {"JPEG": 1, "PNG": 4}


def test_durations_and_rates_of_clips(zipped, ingest, out):
    files = {f"{'ab'[i % 2]}/{i}.wav": clip(i, 0.1 * (i + 1)) for i in range(4)}
    files["a/4.flac"] = clip(4, 1.0, rate=16_000, kind="FLAC")
    manifest = ingest(zipped(files), modality="audio")
    assert manifest["stats"]["durations"] == {"min": 0.1, "median": 0.3, "max": 1.0, "total": 2.0}
    assert manifest["stats"]["rates"] == {"8000": 4, "16000": 1}
    assert "thumbnails" not in manifest["columns"]


def test_repeated_images_are_counted_across_splits_and_labels(zipped, ingest):
    files = {f"train/{'ab'[i % 2]}/{i}.png": png(i) for i in range(8)}
    files |= {"test/a/8.png": png(0), "train/b/9.png": png(2), "train/a/10.png": png(4)}
    stats = ingest(zipped(files))["stats"]
    assert (stats["duplicate_rows"], stats["duplicates_across_splits"]) == (3, 1)
    assert stats["duplicates_with_other_label"] == 1


def test_groups_across_splits_are_counted(saved, ingest):
    rows = [f"text {i},{'ab'[i % 2]},{('train', 'test')[i // 16]},{i % 5}" for i in range(20)]
    path = saved("a.csv", "\n".join(["text,label,part,who", *rows]))
    assert (
        ingest(path, modality="text", split="part", group="who")["stats"]["groups_across_splits"]
        == 4
    )


def test_a_few_thumbnails_of_each_class(zipped, ingest, out):
    colours = {"ant": "red", "bee": "lime", "cat": "blue"}
    files = {
        f"{name}/{i}.png": encoded(Image.new("RGB", (9, 5), colour))
        for name, colour in colours.items()
        for i in range(30)
    }
    ingest(zipped(files))
    sheet = np.asarray(Image.open(out / "thumbnails.webp").convert("RGB")).astype(int)
    assert sheet.shape == (8 * 96, 8 * 96, 3)
    centres = sheet[48::96, 48::96].reshape(-1, 3)
    strongest = [int(colour.argmax()) for colour in centres if colour.min() < 128]
    assert strongest == [0] * 21 + [1] * 21 + [2] * 21


def test_more_classes_than_thumbnails(zipped, ingest, out):
    files = {f"c{i // 2:03}/{i}.png": png(i) for i in range(200)}
    ingest(zipped(files))
    assert Image.open(out / "thumbnails.webp").size == (8 * 96, 8 * 96)


def test_progress_is_told_to_the_last_item(images, zipped, out):
    told = []
    path = zipped({**images, "ant/bad.png": b"text"})
    read_raw(
        [path], ["set.zip"], modality="image", format="zip", columns=RawColumns(), limits=RawLimits(),
        out=out, on_progress=told.append,
    )  # fmt: skip
    assert told == list(range(1, 22))


def test_files_of_another_dataset_are_not_opened(images, zipped, ingest, out):
    manifest = ingest(zipped(images))
    files = {name: out / column["file"] for name, column in manifest["columns"].items()}
    for wrong in ({**manifest, "rows": 19}, {**manifest, "rows": 21}):
        with pytest.raises(ValueError, match="expected"):
            RawDataset.open(wrong, files)
    (out / "items.bin").write_bytes((out / "items.bin").read_bytes()[:-1])
    with pytest.raises(ValueError, match="expected"):
        RawDataset.open(manifest, files)


def test_an_item_that_is_not_there(images, zipped, ingest, opened):
    dataset = opened(ingest(zipped(images)))
    for row in (-1, 20):
        with pytest.raises(IndexError):
            dataset.item(row)


def test_a_bound_on_all_items(images, zipped, refusal):
    assert refusal(zipped(images), limits=RawLimits(max_rows=19)).code == "too_many_rows"


@pytest.mark.parametrize(("modality", "kind"), [("image", "csv"), ("audio", "jsonl"), ("text", "zip"), ("image", "npz")])  # fmt: skip
def test_a_format_that_the_modality_does_not_come_in(modality, kind, saved, refusal):
    assert kind not in RAW_FORMATS[modality]
    problem = refusal(saved("a", b"x"), modality=modality, format=kind)
    assert (problem.code, problem.param) == ("unsupported_media_type", "format")


def test_no_file_at_all(out):
    from models.errors import InputProblem

    with pytest.raises(InputProblem) as caught:
        read_raw([], [], modality="image", format="zip", columns=RawColumns(), limits=RawLimits(), out=out)  # fmt: skip
    assert caught.value.code == "unsupported_media_type"


def test_many_large_clips_are_read_in_their_order(tarred, ingest, opened):
    noise = np.random.default_rng(0).normal(size=400_000) * 0.1
    files = {f"{'ab'[i % 2]}/{i}.wav": sound(noise[i:]) for i in range(12)}
    dataset = opened(ingest(tarred(files), modality="audio"))
    assert [dataset.item(row) for row in range(12)] == list(files.values())

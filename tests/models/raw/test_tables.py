"""Items in Parquet: images and clips as bytes or as Hugging Face writes them, texts as text."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.raw.limits import RawLimits
from tests.models.raw.conftest import clip, png


@pytest.fixture
def parquet(tmp_path):
    def write(columns, name="set.parquet", features=None, **options):
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        if features is not None:
            info = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": info})
        pq.write_table(table, tmp_path / name, **options)
        return tmp_path / name

    return write


PNGS = [png(i) for i in range(20)]
LABELS = [i % 2 for i in range(20)]
AS_HUGGING_FACE = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(PNGS)]


@pytest.mark.parametrize("column", [
    pa.array(PNGS), pa.array(PNGS, pa.large_binary()), pa.array(AS_HUGGING_FACE),
    pa.array([{"bytes": data} for data in PNGS]),
])  # fmt: skip
def test_images_as_bytes(column, parquet, ingest, opened, ids):
    dataset = opened(ingest(parquet({"image": column, "label": LABELS})))
    assert [dataset.item(row) for row in range(20)] == PNGS
    assert dataset.y.tolist() == LABELS
    assert ids() == [str(row) for row in range(20)]


def test_class_labels_of_hugging_face_have_their_names(parquet, ingest, opened):
    features = {
        "image": {"_type": "Image"}, "label": {"names": ["wasp", "ant", "bee"], "_type": "ClassLabel"},
        "site": {"names": ["sea", "land"], "_type": "ClassLabel"},
    }  # fmt: skip
    columns = {"image": AS_HUGGING_FACE, "label": [i % 2 + 1 for i in range(20)], "site": LABELS}
    manifest = ingest(parquet(columns, features=features), subdomain="site")
    assert manifest["classes"] == ["wasp", "ant", "bee"]
    assert manifest["class_counts"] == {"wasp": 0, "ant": 10, "bee": 10}
    assert manifest["subdomains"] == ["sea", "land"]
    assert opened(manifest).y.tolist() == [i % 2 + 1 for i in range(20)]


def test_a_class_label_out_of_range(parquet, refusal):
    features = {"label": {"names": ["wasp"], "_type": "ClassLabel"}}
    path = parquet({"image": PNGS, "label": LABELS}, features=features)
    assert refusal(path).code == "label_out_of_range"


def test_shards_whose_class_names_differ(parquet, refusal):
    paths = [
        parquet({"image": PNGS, "label": LABELS}, f"{name}.parquet",
                {"label": {"names": [name, "b"], "_type": "ClassLabel"}})
        for name in "xy"
    ]  # fmt: skip
    assert refusal(*paths).code == "bad_classes"


@pytest.mark.parametrize("text", ["{", "[1]", '{"info": null}', '{"info": {"features": {"label": {"names": [1]}}}}'])  # fmt: skip
def test_a_schema_that_hugging_face_did_not_write_declares_nothing(text, parquet, ingest):
    table = pa.table({"image": PNGS, "label": LABELS}).replace_schema_metadata(
        {"huggingface": text}
    )
    assert ingest(parquet(table))["classes"] == ["0", "1"]


def test_columns_of_a_table(parquet, ingest, opened, ids):
    columns = {
        "picture": PNGS, "species": ["ant", "bee"] * 10, "part": ["train"] * 18 + ["val", "test"],
        "who": [f"w{i // 4}" for i in range(20)], "key": [f"k{i}" for i in range(20)],
    }  # fmt: skip
    manifest = ingest(
        parquet(columns), item="picture", label="species", split="part", group="who", id="key"
    )
    assert manifest["groups"] == 5
    assert manifest["splits"] == {"train": 18, "val": 1, "test": 1, "unassigned": 0}
    assert ids()[19] == "k19"


def test_clips_in_several_files_follow_each_other(parquet, ingest, opened, ids):
    paths = [
        parquet({"audio": [{"bytes": clip(first + i), "path": None} for i in range(10)], "label": [0, 1] * 5},
                f"{first}.parquet")
        for first in (0, 10)
    ]  # fmt: skip
    dataset = opened(ingest(*paths, modality="audio"))
    assert dataset.item(13) == clip(13)
    assert ids() == [str(row) for row in range(20)]


def test_rows_with_nothing_in_them_are_named(parquet, ingest):
    rows = [*AS_HUGGING_FACE, None, {"bytes": None, "path": "pets/cat.png"}]
    stats = ingest(parquet({"image": rows, "label": [*LABELS, 0, 1]}))["stats"]
    assert stats["rejected_by_code"] == {"item_missing": 2}
    assert [entry["name"] for entry in stats["rejected_items"]] == [
        "row 20 of 'set.parquet'", "row 21 of 'set.parquet'",
    ]  # fmt: skip
    assert "embed the files" in stats["rejected_items"][1]["detail"]


@pytest.mark.parametrize("column", [pa.array(LABELS), pa.array([[1.0]] * 20), pa.array([{"path": "x"}] * 20)])  # fmt: skip
def test_a_column_that_holds_no_items(column, parquet, refusal):
    assert refusal(parquet({"image": column, "label": LABELS})).code == "item_type"


def test_columns_that_are_not_there(parquet, refusal):
    path = parquet({"picture": PNGS, "label": LABELS})
    problem = refusal(path)
    assert (problem.code, problem.param) == ("column_missing", "columns.item")
    assert "'picture', 'label'" in problem.detail
    assert refusal(path, item="picture", label="y").param == "columns.label"
    assert refusal(path, item="picture", group="who").param == "columns.group"


def test_an_image_repeated_by_a_dictionary_is_no_way_to_fill_a_disk(parquet, refusal):
    """0.5 MB in the file, 150 MB as rows."""
    large = png(0, size=(400, 400))
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 300), pa.array([large])).cast(
        pa.binary()
    )
    path = parquet(
        {"image": column, "label": [0, 1] * 150},
        dictionary_pagesize_limit=64 << 20,
        row_group_size=300,
    )
    assert path.stat().st_size < 1 << 20
    problem = refusal(path, limits=RawLimits(max_ratio=50, ratio_floor=1 << 20))
    assert problem.code == "table_too_large"


def test_texts_in_parquet(parquet, ingest, opened):
    texts = [f"the text of row {row}" for row in range(20)]
    for column in (
        pa.array(texts),
        pa.array(texts, pa.large_string()),
        pa.array(texts).dictionary_encode(),
    ):
        dataset = opened(ingest(parquet({"text": column, "label": LABELS}), modality="text"))
        assert [dataset.item(row).decode() for row in range(20)] == texts

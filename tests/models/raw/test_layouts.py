"""Where labels, splits and names come from in an archive: folders, or a metadata file."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.models.raw.conftest import folders, png, tar_bytes

SPLIT_FOLDERS = {
    "train/ant/1.png": 0, "train/ant/2.png": 0, "train/bee/1.png": 0, "train/bee/2.png": 0,
    "val/ant/3.png": 1, "validation/bee/3.png": 1, "test/bee/4.png": 2,
}  # fmt: skip


def numbered(names):
    return {name: png(number) for number, name in enumerate(names)}


@pytest.fixture(params=["zip", "tar", "tar.gz"])
def packed(request, zipped, tarred, saved):
    """Write files as an archive; return its path and format."""

    def write(files):
        if request.param == "tar.gz":
            return saved("set.tar", gzip.compress(tar_bytes(files)))
        return (zipped if request.param == "zip" else tarred)(files)

    return write


def test_class_folders(packed, images, ingest, opened, ids):
    manifest = ingest(packed(images))
    dataset = opened(manifest)
    assert manifest["classes"] == ["ant", "bee"]
    assert manifest["splits"]["unassigned"] == 20
    assert dataset.y.tolist() == [0, 1] * 10
    assert ids() == list(images)
    assert [dataset.item(row) for row in range(20)] == list(images.values())


def test_split_folders(packed, ingest, opened):
    dataset = opened(ingest(packed(numbered(SPLIT_FOLDERS))))
    assert dataset.split.tolist() == list(SPLIT_FOLDERS.values())
    assert dataset.classes == ("ant", "bee")


def test_a_folder_around_everything_is_no_class(packed, ingest, opened, ids):
    names = [f"pets/data/{name}" for name in SPLIT_FOLDERS]
    dataset = opened(ingest(packed({**numbered(names), "pets/README.md": b"#", "pets/x/": b""})))
    assert dataset.classes == ("ant", "bee")
    assert dataset.split.tolist() == list(SPLIT_FOLDERS.values())
    assert ids() == names


def test_what_operating_systems_leave_behind_is_passed_over(zipped, images, ingest):
    strays = [
        "__MACOSX/ant/._0.png",
        "ant/.DS_Store",
        "Thumbs.db",
        "bee/._1.png",
        "ant/desktop.ini",
    ]
    manifest = ingest(zipped({**images, **dict.fromkeys(strays, b"\0")}))
    assert (manifest["rows"], manifest["stats"]["rejected"], manifest["stats"]["ignored"]) == (
        20,
        0,
        0,
    )


def test_a_read_me_beside_the_folders_is_passed_over_and_told_of(zipped, images, ingest):
    stats = ingest(zipped({**images, "README.md": b"#", "LICENSE": b"MIT"}))["stats"]
    assert (stats["ignored"], stats["ignored_files"]) == (2, ["LICENSE", "README.md"])
    assert stats["rejected"] == 0


def test_an_image_in_no_folder_has_no_label(zipped, images, refusal):
    problem = refusal(zipped({**images, "lost.png": png(50)}))
    assert problem.code == "label_missing"
    assert "'lost.png'" in problem.detail


def test_an_image_in_no_folder_may_be_unlabelled(zipped, images, ingest, opened):
    files = {**images, "train/lost.png": png(50), "found.png": png(51)}
    manifest = ingest(zipped(files), unlabelled=True)
    dataset = opened(manifest)
    assert manifest["unlabelled"] == 2
    assert dataset.y[-2:].tolist() == [-1, -1]
    assert dataset.split[-2:].tolist() == [0, -1]


def test_an_unlabelled_image_for_testing_is_refused(zipped, images, refusal):
    problem = refusal(zipped({**images, "test/lost.png": png(50)}), unlabelled=True)
    assert problem.code == "unlabelled_held_out"


def test_folders_within_class_folders_are_ambiguous(zipped, images, refusal):
    problem = refusal(zipped({**images, "ant/more/1.png": png(50)}))
    assert problem.code == "bad_layout"
    assert "'ant/more/1.png'" in problem.detail


def test_one_class_only(zipped, refusal):
    assert refusal(zipped(numbered(["ant/1.png", "ant/2.png"]))).code == "single_class"


def test_a_class_of_one(zipped, images, refusal):
    assert refusal(zipped({**images, "cat/1.png": png(50)})).code == "class_too_small"


def test_an_archive_with_nothing_in_it(zipped, refusal):
    assert refusal(zipped({})).code == "no_rows"
    assert refusal(zipped({"README.md": b"#"})).code == "no_rows"


def test_columns_without_metadata_are_missing(zipped, images, refusal):
    problem = refusal(zipped(images), group="speaker")
    assert (problem.code, problem.param) == ("column_missing", "columns.group")
    assert "metadata.csv" in problem.detail


def rows_of(names):
    return [
        {"file_name": name, "label": name.split("/")[0], "site": f"s{i % 2}", "who": i // 2, "key": f"k{i}",
         "part": ("train", "train", "train", "test")[i // 5]}
        for i, name in enumerate(names)
    ]  # fmt: skip


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def metadata(request, tmp_path):
    """Return the name and bytes of a metadata file of rows."""

    def write(rows, folder=""):
        table = pa.Table.from_pylist(rows)
        if request.param == "parquet":
            pq.write_table(table, tmp_path / "m")
            data = (tmp_path / "m").read_bytes()
        elif request.param == "csv":
            lines = [table.column_names, *(row.values() for row in rows)]
            data = "\n".join(",".join(str(value) for value in line) for line in lines).encode()
        else:
            data = table.to_pandas().to_json(orient="records", lines=True).encode()
        return {f"{folder}metadata.{request.param}": data}

    return write


def test_metadata_in_another_order_than_the_files(metadata, packed, images, ingest, opened, ids):
    rows = rows_of(images)[::-1]
    manifest = ingest(
        packed(images | metadata(rows)), subdomain="site", group="who", split="part", id="key"
    )
    dataset = opened(manifest)
    assert [dataset.item(row) for row in range(20)] == list(images.values())
    assert dataset.y.tolist() == [0, 1] * 10
    assert dataset.subdomain.tolist() == [0, 1] * 10
    assert dataset.subdomains == ("s0", "s1")
    assert dataset.group.tolist() == [i // 2 for i in range(20)]
    assert dataset.split.tolist() == [0] * 15 + [2] * 5
    assert ids() == [f"k{i}" for i in range(20)]


def test_metadata_in_the_folder_of_each_split(metadata, zipped, images, ingest, opened):
    files = {}
    for part in ("train", "test"):
        files |= {f"{part}/{name}": data for name, data in images.items()}
        files |= metadata(rows_of(images), f"{part}/")
    dataset = opened(ingest(zipped(files)))
    assert dataset.split.tolist() == [0] * 20 + [2] * 20


def test_metadata_without_labels_leaves_them_to_the_folders(
    metadata, zipped, images, ingest, opened
):
    rows = [{"file_name": name, "who": i // 4} for i, name in enumerate(images)]
    dataset = opened(ingest(zipped(images | metadata(rows)), group="who"))
    assert dataset.y.tolist() == [0, 1] * 10


def test_a_label_column_that_was_asked_for_is_not_replaced_by_folders(
    metadata, zipped, images, refusal
):
    problem = refusal(zipped(images | metadata(rows_of(images))), label="species")
    assert (problem.code, problem.param) == ("column_missing", "columns.label")


def test_a_row_without_its_file(metadata, zipped, images, refusal):
    rows = rows_of([*images, "ant/gone.png"][-20:])
    problem = refusal(zipped(images | metadata(rows)))
    assert problem.code == "file_missing"
    assert "'ant/gone.png' in row 19" in problem.detail


def test_a_file_without_its_row(metadata, zipped, images, refusal):
    problem = refusal(zipped({**images, "ant/new.png": png(50)} | metadata(rows_of(images))))
    assert problem.code == "row_missing"
    assert "'ant/new.png'" in problem.detail


def test_a_read_me_needs_no_row(metadata, zipped, images, ingest):
    manifest = ingest(zipped({**images, "README.md": b"#"} | metadata(rows_of(images))))
    assert manifest["stats"]["ignored_files"] == ["README.md"]


def test_a_file_named_twice(metadata, zipped, images, refusal):
    rows = rows_of(images)
    rows[5] = rows[7]
    problem = refusal(zipped(images | metadata(rows)))
    assert problem.code == "duplicate_id"


def test_a_label_missing_in_the_metadata(zipped, images, refusal):
    lines = [
        "file_name,label",
        *(f"{name},{'' if name == 'ant/4.png' else 'x'}" for name in images),
    ]
    problem = refusal(zipped({**images, "metadata.csv": "\n".join(lines).encode()}))
    assert problem.code == "label_missing"
    assert "row 4 " in problem.detail
    assert "set.zip/metadata.csv" in problem.detail


def test_two_metadata_files_in_one_folder(zipped, images, refusal):
    files = {**images, "metadata.csv": b"file_name\n", "metadata.jsonl": b"{}\n"}
    assert refusal(zipped(files)).code == "bad_layout"


def test_several_archives_follow_each_other(zipped, images, ingest, opened, ids):
    more = folders(lambda i: png(100 + i), ".png")
    manifest = ingest(zipped(images, "a.zip"), zipped(more, "b.zip"))
    dataset = opened(manifest)
    assert [dataset.item(row) for row in range(40)] == [*images.values(), *more.values()]
    assert ids()[0] == "a.zip/ant/0.png"
    assert ids()[20] == "b.zip/ant/0.png"

"""Labels, classes, splits, ids, subdomains and groups: taken as meant, or refused by row."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

NAMES = np.array(["cat", "ant", "bee"])


def loaded(out, name):
    return np.load(out / f"{name}.npy", allow_pickle=False)


def test_names_are_sorted_into_classes(npz, out, ingest, x, y):
    manifest = ingest(npz(x=x, y=NAMES[y]))
    assert manifest["classes"] == ["ant", "bee", "cat"]
    np.testing.assert_array_equal(np.array(manifest["classes"])[loaded(out, "y")], NAMES[y])


def test_bytes_are_names_in_utf8(npz, ingest, x, y):
    names = np.array(["é".encode(), b"b", b"c"])
    assert ingest(npz(x=x, y=names[y]))["classes"] == ["b", "c", "é"]


def test_integers_without_names_are_sorted_by_value(npz, out, ingest, x, y):
    manifest = ingest(npz(x=x, y=np.array([10, 9, -1])[y]))
    assert manifest["classes"] == ["-1", "9", "10"]
    np.testing.assert_array_equal(loaded(out, "y"), np.array([2, 1, 0])[y])


def test_declared_classes_keep_their_order_and_may_be_empty(npz, out, ingest, x, y):
    manifest = ingest(npz(x=x, y=y, classes=np.array(["z", "y", "x", "unseen"])))
    assert manifest["class_counts"] == {"z": 100, "y": 100, "x": 100, "unseen": 0}
    np.testing.assert_array_equal(loaded(out, "y"), y)


def test_names_are_found_among_declared_classes(npz, out, ingest, x, y):
    ingest(npz(x=x, y=NAMES[y], classes=NAMES))
    np.testing.assert_array_equal(loaded(out, "y"), y)


def test_booleans_and_unsigned_labels_are_labels(npz, ingest, x, y):
    assert ingest(npz(x=x, y=y > 0))["classes"] == ["0", "1"]
    big = np.array([0, 1, 2**64 - 1], np.uint64)[y]
    assert ingest(npz(x=x, y=big))["classes"] == ["0", "1", str(2**64 - 1)]


@pytest.mark.parametrize(("label", "classes"), [(3, 3), (-1, 3)])
def test_a_label_out_of_range_is_named_with_its_row(label, classes, npz, refusal, x, y):
    y[118] = label
    problem = refusal(npz(x=x, y=y, classes=NAMES))
    assert problem.code == "label_out_of_range"
    assert f"{label} in row 118" in problem.detail
    assert "0 to 2" in problem.detail


def test_a_name_that_is_no_class_is_named_with_its_row(npz, refusal, x, y):
    problem = refusal(npz(x=x, y=NAMES[y], classes=NAMES[:2]))
    assert problem.code == "label_out_of_range"
    assert "'bee' in row 2" in problem.detail
    assert "'cat', 'ant'" in problem.detail


@pytest.mark.parametrize("gap", ["", np.nan])
def test_a_missing_label_in_an_array_is_named_with_its_row(gap, npz, refusal, x, y):
    labels = NAMES[y] if gap == "" else y.astype(float)
    labels[[118, 200]] = gap
    problem = refusal(npz(x=x, y=labels))
    assert problem.code == "label_missing"
    assert "rows 118, 200" in problem.detail
    assert problem.param == "columns.y"


def test_missing_labels_in_a_table_are_all_counted(tmp_path, refusal, x, y):
    labels = [None if row % 10 == 8 else int(label) for row, label in enumerate(y)]
    pq.write_table(pa.table({"x": list(x), "y": labels}), tmp_path / "t.parquet")
    problem = refusal(tmp_path / "t.parquet")
    assert problem.code == "label_missing"
    assert "rows 8, 18, 28, 38, 48, 58, 68, 78, 88, 98 and 20 more" in problem.detail


def test_real_labels_are_refused_rather_than_rounded(npz, refusal, x, y):
    problem = refusal(npz(x=x, y=y + 0.5))
    assert problem.code == "label_type"
    assert "float64" in problem.detail


def test_one_hot_labels_are_refused_with_a_hint(npz, refusal, x, y):
    problem = refusal(npz(x=x, y=np.eye(3, dtype=int)[y]))
    assert problem.code == "bad_shape"
    assert "argmax" in problem.detail


def test_integers_here_and_names_there_are_refused(npz, refusal, x, y):
    problem = refusal(npz(x=x, y=y, x_test=x, y_test=NAMES[y]))
    assert problem.code == "label_type"
    assert "y_test" in problem.detail


def test_one_class_only(npz, refusal, x, y):
    problem = refusal(npz(x=x, y=np.zeros(300, int), classes=NAMES))
    assert problem.code == "single_class"
    assert "'cat'" in problem.detail


def test_a_class_of_one_is_named(npz, refusal, x, y):
    y[118] = 3
    problem = refusal(npz(x=x, y=y, classes=np.array([*NAMES, "dodo"])))
    assert problem.code == "class_too_small"
    assert "'dodo'" in problem.detail
    assert "row 118" in problem.detail


def test_a_class_is_counted_among_trainable_rows(npz, ingest, refusal, x, y):
    split = np.array(["train"] * 300)
    split[y == 2] = "test"
    assert ingest(npz(x=x, y=y, s=split), split="s")["splits"]["test"] == 100
    split[2] = "train"
    problem = refusal(npz(x=x, y=y, s=split), split="s")
    assert problem.code == "class_too_small"
    split[:] = "test"
    assert refusal(npz(x=x, y=y, s=split), split="s").code == "single_class"


@pytest.mark.parametrize("names", [["a", "a", "b"], ["a", "", "b"], ["a", "b\n", "c"], ["a", "b" * 501, "c"]])  # fmt: skip
def test_class_names_must_be_distinct_and_printable(names, npz, refusal, x, y):
    problem = refusal(npz(x=x, y=y, classes=np.array(names)))
    assert problem.code in ("bad_classes", "bad_text", "text_too_long")
    assert problem.param == "columns.classes"


def test_half_a_surrogate_is_no_text(npz, refusal, x, y):
    names = np.array(["aa", "bb", "cc"])
    names.view(np.uint32)[2] = 0xD800
    problem = refusal(npz(x=x, y=names[y]))
    assert problem.code == "bad_text"
    assert "rows 1, 4, 7" in problem.detail
    names.view(np.uint32)[2] = 0x7FFFFFFF
    assert refusal(npz(x=x, y=names[y])).code == "bad_text"


def test_arrays_apart_are_splits(npz, out, ingest, x, y):
    manifest = ingest(
        npz(
            x=x[:200], y=y[:200], x_val=x[200:240], y_val=y[200:240], x_test=x[240:], y_test=y[240:]
        )
    )
    assert manifest["splits"] == {"train": 200, "val": 40, "test": 60, "unassigned": 0}
    np.testing.assert_array_equal(loaded(out, "split"), [0] * 200 + [1] * 40 + [2] * 60)
    np.testing.assert_array_equal(loaded(out, "x"), x)


def test_x_train_and_x_test_belong_together(npz, ingest, x, y):
    arrays = {"X_train": x, "Y_train": y, "X_test": x, "Y_test": y}
    assert ingest(npz(**arrays), x="X_train", y="Y_train")["splits"]["test"] == 300


def test_a_test_array_without_its_labels_is_refused(npz, refusal, x, y):
    problem = refusal(npz(x=x, y=y, x_test=x))
    assert problem.code == "column_missing"
    assert "'y_test'" in problem.detail


def test_a_split_column_by_name_number_and_gap(tmp_path, out, ingest, x, y):
    split = ["train", "val", "test", "validation", None, ""] * 50
    pq.write_table(pa.table({"x": list(x), "y": y, "s": split}), tmp_path / "t.parquet")
    ingest(tmp_path / "t.parquet", split="s")
    np.testing.assert_array_equal(loaded(out, "split"), [0, 1, 2, 1, -1, -1] * 50)


def test_a_split_column_of_numbers(npz, out, ingest, x, y):
    ingest(npz(x=x, y=y, s=np.tile([0, 1, 2, -1, 0, 0], 50)), split="s")
    np.testing.assert_array_equal(loaded(out, "split"), np.tile([0, 1, 2, -1, 0, 0], 50))


@pytest.mark.parametrize("value", ["holdout", 7])
def test_an_unknown_split_is_named_with_its_row(value, npz, refusal, x, y):
    split = np.array(["train"] * 300, "U8") if isinstance(value, str) else np.zeros(300, int)
    split[118] = value
    problem = refusal(npz(x=x, y=y, s=split), split="s")
    assert problem.code == "unknown_split"
    assert f"'{value}' in row 118" in problem.detail


def test_subdomains_and_groups_are_numbered(npz, out, ingest, x, y):
    manifest = ingest(
        npz(x=x, y=y, language=NAMES[y[::-1]], speaker=np.arange(300) % 7),
        subdomain="language", group="speaker",
    )  # fmt: skip
    assert manifest["subdomains"] == ["ant", "bee", "cat"]
    assert manifest["groups"] == 7
    assert manifest["stats"]["subdomains"] == {"ant": 100, "bee": 100, "cat": 100}
    np.testing.assert_array_equal(loaded(out, "group"), np.arange(300) % 7)
    np.testing.assert_array_equal(np.array(["ant", "bee", "cat"])[loaded(out, "subdomain")], NAMES[y[::-1]])  # fmt: skip


def test_groups_that_leak_are_counted(npz, ingest, x, y):
    split = np.zeros(300, int)
    split[:2] = 2  # speakers 0 and 1, who have other rows in train
    manifest = ingest(npz(x=x, y=y, g=np.arange(300) % 7, s=split), group="g", split="s")
    assert manifest["stats"]["groups_across_splits"] == 2


def test_a_gap_in_a_group_is_named(tmp_path, refusal, x, y):
    group = [None if row == 118 else "a" for row in range(300)]
    pq.write_table(pa.table({"x": list(x), "y": y, "g": group}), tmp_path / "t.parquet")
    problem = refusal(tmp_path / "t.parquet", group="g")
    assert (problem.code, problem.param) == ("value_missing", "columns.group")
    assert "row 118" in problem.detail


def test_ids_are_kept_in_order(npz, out, ingest, x, y):
    ids = np.array([f"bird {row}" for row in range(300)])
    manifest = ingest(npz(x=x, y=y, name=ids), id="name")
    kept = pq.read_table(out / manifest["columns"]["id"]["file"])["id"].to_pylist()
    assert kept == ids.tolist()


def test_a_repeated_id_is_named_with_both_rows(npz, refusal, x, y):
    ids = np.arange(600)
    ids[418] = 7
    problem = refusal(npz(x=x, y=y, i=ids[:300], x_test=x, y_test=y, i_test=ids[300:]), id="i")
    assert problem.code == "duplicate_id"
    assert "row 7 of array 'i'" in problem.detail
    assert "row 118 of array 'i_test'" in problem.detail


def test_a_missing_id_is_named(npz, refusal, x, y):
    ids = np.array([f"bird {row}" for row in range(300)])
    ids[118] = ""
    problem = refusal(npz(x=x, y=y, name=ids), id="name")
    assert problem.code == "id_missing"
    assert "row 118" in problem.detail


@pytest.mark.parametrize("field", ["x", "y", "split", "id", "subdomain", "group", "classes"])
def test_a_wrong_column_name_lists_what_there_is(field, npz, refusal, x, y):
    problem = refusal(npz(x=x, y=y, breed=y), **{field: "breeed"})
    assert (problem.code, problem.param) == ("column_missing", f"columns.{field}")
    assert "'breeed'" in problem.detail
    assert "'x', 'y', 'breed'" in problem.detail


@pytest.mark.parametrize("field", ["y", "split", "id", "subdomain", "group"])
def test_columns_of_another_length_are_refused(field, npz, refusal, x, y):
    arrays = {"x": x, "y": y, "other": y[:299]}
    problem = refusal(npz(**arrays), **{field: "other"})
    assert problem.code == "length_mismatch"
    assert "300" in problem.detail
    assert "299" in problem.detail


def test_class_names_in_a_tables_metadata_must_be_a_list(tmp_path, refusal, x, y):
    for bad in ('{"a": 1}', "[1, 2]", "nonsense", "[" * 100_000):
        table = pa.table({"x": list(x), "y": y}).replace_schema_metadata({"classes": bad})
        pq.write_table(table, tmp_path / "t.parquet")
        assert refusal(tmp_path / "t.parquet").code == "bad_classes"


def test_tables_must_declare_the_same_classes(tmp_path, refusal, x, y):
    for name, classes in (("a", ["p", "q", "r"]), ("b", ["p", "r", "q"])):
        table = pa.table({"x": list(x), "y": y})
        table = table.replace_schema_metadata({"classes": json.dumps(classes)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    assert refusal(tmp_path / "a.parquet", tmp_path / "b.parquet").code == "bad_classes"

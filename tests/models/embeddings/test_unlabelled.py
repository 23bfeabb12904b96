"""Rows without a label, and cells: counted as meant, or refused by row."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

NAMES = np.array(["cat", "ant", "bee"])


def loaded(out, name):
    return np.load(out / f"{name}.npy", allow_pickle=False)


@pytest.mark.parametrize("gap", [-1, np.nan, ""])
def test_rows_may_go_without_a_label_where_that_is_said(gap, npz, out, ingest, x, y):
    labels = NAMES[y] if gap == "" else y.astype(float) if gap != -1 else y.copy()
    labels[[0, 118]] = gap
    manifest = ingest(npz(x=x, y=labels), unlabelled=True)
    found = loaded(out, "y")
    np.testing.assert_array_equal(np.flatnonzero(found == -1), [0, 118])
    assert manifest["unlabelled"] == manifest["stats"]["unlabelled"] == 2
    assert len(manifest["classes"]) == 3
    assert sum(manifest["class_counts"].values()) == 298
    kept = np.delete(np.arange(300), [0, 118])
    expected = NAMES[y] if gap == "" else y.astype(str)
    np.testing.assert_array_equal(np.array(manifest["classes"])[found[kept]], expected[kept])


def test_a_null_in_a_table_is_a_row_without_a_label(tmp_path, out, ingest, x, y):
    names = [None if row < 5 else str(NAMES[label]) for row, label in enumerate(y)]
    pq.write_table(pa.table({"x": list(x), "y": names}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": list(x), "y": [None] * 300}), tmp_path / "b.parquet")
    manifest = ingest(tmp_path / "a.parquet", tmp_path / "b.parquet", unlabelled=True)
    assert manifest["unlabelled"] == 305
    np.testing.assert_array_equal(np.flatnonzero(loaded(out, "y") == -1)[:6], [0, 1, 2, 3, 4, 300])


def test_a_refused_gap_tells_how_to_take_it(npz, refusal, x, y):
    labels = NAMES[y]
    labels[3] = ""
    assert "`columns.unlabelled: true`" in refusal(npz(x=x, y=labels)).detail


def test_a_float_that_is_no_integer_is_no_label(npz, refusal, x, y):
    labels = y.astype(float)
    labels[7], labels[9] = np.nan, 1.5
    problem = refusal(npz(x=x, y=labels), unlabelled=True)
    assert (problem.code, "1.5 in row 9" in problem.detail) == ("label_type", True)


def test_a_label_out_of_range_is_named_by_its_row_among_rows_without(npz, refusal, x, y):
    y[[2, 5]], y[118] = -1, 7
    problem = refusal(npz(x=x, y=y, classes=NAMES), unlabelled=True)
    assert (problem.code, "7 in row 118" in problem.detail) == ("label_out_of_range", True)


def test_a_held_out_row_needs_its_label(npz, refusal, ingest, x, y):
    y[[5, 118]] = -1
    split = np.array(["train"] * 300)
    assert ingest(npz(x=x, y=y, s=split), split="s", unlabelled=True)["unlabelled"] == 2
    split[118] = "val"
    problem = refusal(npz(x=x, y=y, s=split), split="s", unlabelled=True)
    assert problem.code == "unlabelled_held_out"
    assert "row 118" in problem.detail
    assert "'val'" in problem.detail


def test_a_dataset_needs_some_labels(npz, refusal, x):
    problem = refusal(npz(x=x, y=np.full(300, -1)), unlabelled=True)
    assert (problem.code, "300 rows" in problem.detail) == ("no_labels", True)


def test_a_row_without_a_label_makes_no_class_of_one(npz, refusal, ingest, x, y):
    y[118] = -1
    assert ingest(npz(x=x, y=y, classes=NAMES), unlabelled=True)["class_counts"]["cat"] == 100
    y[y == 2], y[0] = -1, 2
    assert refusal(npz(x=x, y=y, classes=NAMES), unlabelled=True).code == "class_too_small"


def test_a_copy_without_a_label_contradicts_nothing(npz, ingest, x, y):
    x[[1, 4]] = x[0]
    y[4] = -1
    stats = ingest(npz(x=x, y=y), unlabelled=True)["stats"]
    assert (stats["duplicate_rows"], stats["duplicates_with_other_label"]) == (2, 1)
    y[1] = y[0]
    stats = ingest(npz(x=x, y=y), unlabelled=True)["stats"]
    assert stats["duplicates_with_other_label"] == 0


def test_cells_count_labelled_rows_that_may_be_trained_on(npz, ingest, x, y):
    place = np.where(y == 0, "sea", np.where(np.arange(300) < 150, "land", "sea"))
    split = np.array(["train", ""] * 150)
    split[:30] = "test"
    y[[30, 31]] = -1
    path = npz(x=x, y=y, place=place, s=split, classes=[*NAMES, "dodo"])
    manifest = ingest(path, subdomain="place", split="s", unlabelled=True)
    assert manifest["cell_counts"] == {
        "cat": {"sea": 89},
        "ant": {"land": 39, "sea": 50},
        "bee": {"land": 40, "sea": 50},
        "dodo": {},
    }
    assert manifest["stats"]["cell_counts"] == manifest["cell_counts"]
    assert manifest["stats"]["unlabelled_by_subdomain"] == {"land": 1, "sea": 1}


def test_cells_beyond_a_bound_are_not_counted(monkeypatch, npz, ingest, x, y):
    monkeypatch.setattr("models.embeddings.statistics.MAX_CELLS", 5)
    assert ingest(npz(x=x, y=y, place=y % 2), subdomain="place")["cell_counts"] is None

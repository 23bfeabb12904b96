"""The parting of rows where some have no label."""

import numpy as np

from models.embeddings.dataset import EmbeddingDataset
from models.evaluation.spec import EvaluateSpec
from workers.pipelines.datasets import part

MANIFEST = {"columns": {"x": {"sha256": "0" * 64}}}


def dataset(group: np.ndarray | None = None) -> EmbeddingDataset:
    y = np.tile([0, 1, -1], 40).astype(np.int64)
    return EmbeddingDataset(
        x=np.zeros((120, 2), np.float32),
        y=y,
        split=np.full(120, -1, np.int8),
        classes=("a", "b"),
        group=group,
    )


def test_rows_without_a_label_train_and_are_never_held_out() -> None:
    data = dataset()
    split, too_small = part(data, EvaluateSpec(), MANIFEST)
    assert set(split[data.y < 0]) == {0}
    assert set(split[data.y >= 0]) == {0, 1, 2}
    assert too_small == []


def test_labelled_rows_are_parted_as_if_there_were_no_others() -> None:
    data = dataset()
    alone = EmbeddingDataset(
        x=data.x[data.y >= 0],
        y=data.y[data.y >= 0],
        split=data.split[data.y >= 0],
        classes=data.classes,
    )
    split, _ = part(data, EvaluateSpec(), MANIFEST)
    np.testing.assert_array_equal(split[data.y >= 0], part(alone, EvaluateSpec(), MANIFEST)[0])


def test_rows_of_a_group_that_is_held_out_do_not_train_without_a_label() -> None:
    group = np.repeat(np.arange(12), 10)
    data = dataset(group)
    split, _ = part(data, EvaluateSpec(), MANIFEST)
    held_out = np.isin(group, group[split > 0])
    assert 0 < held_out.sum() < 120
    assert set(split[held_out & (data.y < 0)]) == {-1}
    assert set(split[~held_out]) == {0}

"""A plan is cut by the plan alone, and its pieces make the whole again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workers.pipelines.shards import cut, expand, planned

COUNTS = st.lists(st.integers(0, 50), max_size=8)


@given(COUNTS, st.integers(1, 30))
def test_every_row_falls_into_one_shard_in_order(counts: list[int], rows: int) -> None:
    shards = [expand(items) for items in cut(counts, rows)]
    found = [pair for labels, counters in shards for pair in zip(labels, counters, strict=True)]
    assert found == [(label, n) for label, count in enumerate(counts) for n in range(count)]
    assert all(len(labels) == rows for labels, _ in shards[:-1])


@given(COUNTS)
def test_an_item_of_no_rows_is_never_planned(counts: list[int]) -> None:
    items = [item for shard in cut(counts, 7) for item in shard]
    assert all(count > 0 for _, _, count in items)


def test_planned_tasks_are_numbered_and_json() -> None:
    tasks = planned([20_000, 0, 5])
    assert [task.shard for task in tasks] == [0, 1]
    assert tasks[0].payload == {"items": [[0, 0, 16_384]]}
    assert tasks[1].payload == {"items": [[0, 16_384, 3_616], [2, 0, 5]]}


def test_an_empty_plan_has_no_task() -> None:
    assert planned([0, 0]) == ()
    labels, counters = expand([])
    assert labels.dtype == counters.dtype == np.int64
    assert len(labels) == 0

"""What a task shows while heads are trained."""

from types import SimpleNamespace
from typing import cast

from workers.pipelines.drawing import Meter
from workers.task import TaskRun


def test_every_row_and_step_is_progress_and_none_goes_back() -> None:
    """A head may train for longer than a silent task is left alone."""
    shown: list[float] = []
    task = SimpleNamespace(
        progress=lambda value, _most: shown.append(value), should_stop=lambda: len(shown) > 5000
    )
    meter = Meter(cast("TaskRun", task), before=2)
    for head in range(3):
        meter.heads(head, 3)
        for done in range(1, 11):
            meter.rows(done, 10)
        assert not any(meter.should_stop() for _ in range(1500))
    meter.heads(3, 3)
    assert shown == sorted(set(shown))
    assert (shown[0], shown[-1]) == (2, 5)
    assert [meter.should_stop() for _ in range(2000)][-1], "the task's own word counts"

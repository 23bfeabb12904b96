"""What choosing and evaluating need of a generator, and how far they are."""

from models.evaluation.data import Draw
from models.gelda.method import Generator
from models.gelda.spec import SamplerSpec
from models.study.levels import BATCH_ROWS, drawing
from workers.task import TaskRun

_STEPS = 1000
"""Steps of a head after which half of its share is shown: how many it takes is its own affair."""


class Meter:
    """Progress in heads trained, after `before` other units.

    Between two heads it shows the rows drawn for the next one, up to half a head, and then its steps:
    a head may well take longer than a task may be silent. What is shown never goes back.
    """

    def __init__(self, task: TaskRun, before: float = 0.0) -> None:
        self._task, self._before = task, before
        self._done, self._total, self._steps = 0, 1, 0

    def heads(self, done: int, total: int) -> None:
        """Say that so many of the heads are trained."""
        self._done, self._total, self._steps = done, total, 0
        self._task.progress(self._before + done, self._before + total)

    def rows(self, done: int, total: int) -> None:
        """Say that so many rows are drawn for the next head."""
        self._show(0.5 * done / max(1, total))

    def should_stop(self) -> bool:
        """Ask the task; a head does so before every step, which is the sign of life."""
        self._steps += 1
        self._show(0.5 + 0.5 * self._steps / (self._steps + _STEPS))
        return self._task.should_stop()

    def _show(self, share: float) -> None:
        self._task.progress(self._before + self._done + share, self._before + self._total)


def drawn_by(task: TaskRun, generator: Generator, sampler: SamplerSpec, meter: Meter) -> Draw:
    """Return the generator as the protocol sees it, stopping and telling as the task does."""
    return drawing(
        generator,
        sampler,
        task.claim.seed,
        batch_size=task.batch(BATCH_ROWS),
        should_stop=task.should_stop,
        on_progress=meter.rows,
    )

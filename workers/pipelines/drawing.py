"""What choosing and evaluating need of a generator and of a dataset, made from blobs."""

import numpy as np
import numpy.typing as npt

from models.embeddings.dataset import EmbeddingDataset
from models.evaluation.result import Draw, EvaluationData
from models.gelda.method import Generator
from models.gelda.spec import SamplerSpec
from workers.task import TaskRun

_BATCH_ROWS = 1024

Latents = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class Meter:
    """Progress in heads trained, after `before` other units; drawing rows for one shows between."""

    def __init__(self, task: TaskRun, before: float = 0.0) -> None:
        self._task, self._before = task, before
        self._done, self._total = 0, 1

    def heads(self, done: int, total: int) -> None:
        self._done, self._total = done, total
        self._task.progress(self._before + done, self._before + total)

    def rows(self, done: int, total: int) -> None:
        # Less than a head, so that what is shown never goes back.
        share = 0.9 * done / max(1, total)
        self._task.progress(self._before + self._done + share, self._before + self._total)


def drawing(task: TaskRun, generator: Generator, sampler: SamplerSpec, meter: Meter) -> Draw:
    """Return the generator as the protocol sees it: labels, counters, temperature to latents."""

    def draw(labels: Labels, counters: Labels, temperature: float) -> Latents:
        return generator.sample(
            labels,
            counters,
            seed=task.claim.seed,
            sampler=sampler.model_copy(update={"temperature": temperature}),
            batch_size=task.batch(_BATCH_ROWS),
            should_stop=task.should_stop,
            on_progress=meter.rows,
        )

    return draw


def evaluation_data(task: TaskRun, data: EmbeddingDataset, splits: str) -> EvaluationData:
    """Return the real rows, parted as they were before training; `splits` is that blob."""
    split = np.load(task.fetch(splits), allow_pickle=False)
    return EvaluationData.of(data.x, data.y, split, data.classes, data.group)

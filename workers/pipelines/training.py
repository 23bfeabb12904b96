"""Training a generator inside a task: progress at every step, checkpoints to whoever keeps them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.front.front import Front
from models.gelda import method
from models.gelda.method import Generator
from models.gelda.spec import GeldaSpec
from workers.task import TaskRun

OnCheckpoint = Callable[[Path, int], None]


def train_generator(
    task: TaskRun,
    spec: GeldaSpec,
    x: npt.NDArray[Any],
    y: npt.NDArray[np.int64],
    *,
    classes: Sequence[str],
    vectors: npt.NDArray[np.float32] | None,
    on_checkpoint: OnCheckpoint,
    resume: Path | None = None,
    step: int = 0,
    on_progress: Callable[[float, float], None] | None = None,
) -> Generator:
    """Train on rows x (n × dim), y (n); `resume` is a checkpoint taken at `step`.

    Raises:
        ValueError: the checkpoint is of another training.
    """
    _, objective = method.resolve(spec, n=len(x), dim=x.shape[1])
    steps, tell, at = objective.steps or 0, on_progress or task.progress, step

    def should_stop() -> bool:
        # Asked before every step, and so the finest sign of progress there is: the method's own
        # reports may be further apart than the time after which a silent task counts as hung.
        nonlocal at
        tell(min(at, steps), steps)
        at += 1
        return task.should_stop()

    return method.train(
        x,
        y,
        classes=classes,
        vectors=vectors,
        spec=spec,
        seed=task.claim.seed,
        front=Front.identity(x.shape[1]),
        device=task.device,
        resume=resume,
        on_checkpoint=on_checkpoint,
        scratch=task.scratch,
        should_stop=should_stop,
        batch_size=task.batch(objective.batch_size),
    )

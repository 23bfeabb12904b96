"""Training inside a task: progress at every step, checkpoints to whoever keeps them, resumed from them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from models.front.front import Front
from models.gelda import method
from models.gelda.method import Generator, HeldOutRows
from models.gelda.spec import GeldaSpec
from models.study.rivals import Semantics
from workers.task import TaskRun

log = logging.getLogger(__name__)

T = TypeVar("T")


def resumed(task: TaskRun, train: Callable[[Path | None, int], T]) -> T:
    """Train from an earlier attempt's checkpoint, or from the start.

    Args:
        task: its claim names the checkpoint, if there is one.
        train: called with the checkpoint and its step, or with None and 0; raises ValueError where the
            checkpoint is of another training.
    """
    resume, saved = task.resume_file(), task.claim.checkpoint
    if resume is None or saved is None:
        return train(None, 0)
    try:
        return train(resume, saved.step)
    except ValueError as error:
        # A checkpoint of another torch or device: slower to start again, but never half of each.
        log.warning("job %s starts training anew: %s", task.claim.job_id, error)
        return train(None, 0)


def step_by_step(task: TaskRun, steps: int, step: int = 0) -> Callable[[], bool]:
    """Return a `should_stop` that tells the task's progress, from `step` on, whenever it is asked.

    A training asks before every step, and so it is the finest sign of progress there is: its own
    reports may be further apart than the time after which a silent task counts as hung.
    """
    at = step

    def should_stop() -> bool:
        nonlocal at
        task.progress(min(at, steps), steps)
        at += 1
        return task.should_stop()

    return should_stop


def whole_seconds(seconds: float, steps: int, first: int) -> float:
    """Return what a whole training takes, of which this attempt began at step `first`."""
    return round(seconds * steps / max(1, steps - first), 2)


@dataclass(frozen=True)
class TrainingRows:
    """Embeddings (n × dim_in, memory-mapped) and what is known of them, as `method.train` takes it."""

    x: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    classes: Sequence[str]
    subdomain: npt.NDArray[np.int64] | None
    subdomains: Sequence[str]
    posterior: npt.NDArray[np.float32] | None
    held_out: HeldOutRows | None


def train_generator(
    task: TaskRun,
    spec: GeldaSpec,
    rows: TrainingRows,
    *,
    front: Front,
    semantics: Semantics,
    resume: Path | None = None,
    step: int = 0,
) -> Generator:
    """Train on ``rows``; `resume` is a checkpoint taken at `step`.

    Raises:
        ValueError: the checkpoint is of another training.
    """
    _, objective = method.resolve(spec, n=len(rows.x), dim=front.dim)
    return method.train(
        rows.x,
        rows.y,
        classes=rows.classes,
        vectors=semantics.classes,
        subdomain=rows.subdomain,
        subdomains=rows.subdomains,
        subdomain_vectors=semantics.subdomains,
        posterior=rows.posterior,
        held_out=rows.held_out,
        front=front,
        spec=spec,
        seed=task.claim.seed,
        device=task.device,
        resume=resume,
        on_checkpoint=task.checkpoint,
        scratch=task.scratch,
        should_stop=step_by_step(task, objective.steps or 0, step),
        batch_size=task.batch(objective.batch_size),
    )

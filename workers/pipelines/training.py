"""Training a generator inside a task: progress at every step, checkpoints to whoever keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.front.front import Front
from models.gelda import method
from models.gelda.method import Generator, HeldOutRows
from models.gelda.spec import GeldaSpec
from models.study.rivals import Semantics
from workers.task import TaskRun


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
    steps, at = objective.steps or 0, step

    def should_stop() -> bool:
        # Asked before every step, and so the finest sign of progress there is: the method's own
        # reports may be further apart than the time after which a silent task counts as hung.
        nonlocal at
        task.progress(min(at, steps), steps)
        at += 1
        return task.should_stop()

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
        should_stop=should_stop,
        batch_size=task.batch(objective.batch_size),
    )

"""The generator again, without the semantics: one-hot vectors, and everybody else's vectors.

Only where class vectors carry semantics are these rivals different from the method itself.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.evaluation.spec import EvaluateSpec
from models.gelda.method import Generator
from models.gelda.plan import derived_seed
from models.gelda.spec import GeldaSpec
from workers.pipelines.training import train_generator
from workers.task import TaskRun

Vectors = npt.NDArray[np.float32]

_RUNNING = "running.safetensors"
_STRIDE = 10_000_000
"""More steps than a training can have: with the rival's number, a checkpoint's step only grows."""


def rival_vectors(evaluate: EvaluateSpec, vectors: Vectors | None, seed: int) -> dict[str, Vectors]:
    """Return the vectors to train each wanted rival with; none where there are no semantics."""
    if vectors is None:
        return {}
    rivals = {"one_hot": np.eye(len(vectors), dtype=np.float32)}
    order = np.random.default_rng(derived_seed("shuffle", seed)).permutation(len(vectors))
    rivals["shuffled_vectors"] = vectors[order]
    return {name: rivals[name] for name in evaluate.controls if name in rivals}


class RivalTraining:
    """Trains one rival after the other, and survives being killed between and within them.

    A checkpoint is an archive: the generators that are done, and the state of the one that is not.
    """

    def __init__(self, task: TaskRun, spec: GeldaSpec, rivals: dict[str, Vectors]) -> None:
        self._task, self._spec, self._rivals = task, spec, rivals
        self._done = task.scratch / "rivals"
        self._done.mkdir()
        self._resume: Path | None = None
        archive = task.resume_file() if rivals else None
        if archive is not None:
            with zipfile.ZipFile(archive) as saved:  # our own, by its sha-256
                saved.extractall(self._done)
            running = self._done / _RUNNING
            if running.exists():
                self._resume = running.rename(task.scratch / _RUNNING)

    def train(
        self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], classes: Sequence[str]
    ) -> dict[str, Generator]:
        """Return a generator for each rival, trained on rows x (n × dim), y (n)."""
        return {
            name: self._load_or_train(number, name, x, y, classes)
            for number, name in enumerate(self._rivals)
        }

    def _load_or_train(
        self,
        number: int,
        name: str,
        x: npt.NDArray[np.float32],
        y: npt.NDArray[np.int64],
        classes: Sequence[str],
    ) -> Generator:
        folder = self._done / name
        if folder.is_dir():
            return Generator.load(folder, self._task.device)

        def tell(step: float, steps: float) -> None:
            self._task.progress(number + step / max(1.0, steps), len(self._rivals) + 1)

        def fit(resume: Path | None) -> Generator:
            return train_generator(
                self._task,
                self._spec,
                x,
                y,
                classes=classes,
                vectors=self._rivals[name],
                on_checkpoint=lambda path, step: self._save(number, path, step),
                resume=resume,
                step=saved.step % _STRIDE if saved is not None and resume is not None else 0,
                on_progress=tell,
            )

        (resume, self._resume), saved = (self._resume, None), self._task.claim.checkpoint
        try:
            generator = fit(resume)
        except ValueError:  # a checkpoint of another torch or device
            if resume is None:
                raise
            generator = fit(None)
        generator.save(folder)
        return generator

    def _save(self, number: int, running: Path, step: int) -> None:
        path = self._task.scratch / f"rivals-{number}-{step}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(self._done.rglob("*")):
                archive.write(file, file.relative_to(self._done))
            archive.write(running, _RUNNING)
        running.unlink()
        self._task.checkpoint(path, number * _STRIDE + step)

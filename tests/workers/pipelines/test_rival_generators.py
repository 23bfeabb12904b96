"""Rivals without semantics: trained where there are any, and resumed after a kill at any point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.domain.tasks import Checkpoint, Claim, Lease
from app.settings import Settings
from app.store.blobs import LocalBlobs
from models.errors import Interrupted
from models.evaluation.spec import EvaluateSpec
from models.gelda.spec import GeldaSpec, SamplerSpec
from workers.messages import Checkpointed, FromChild
from workers.pipelines.rival_generators import RivalTraining, rival_vectors
from workers.shelf import Shelf
from workers.task import TaskRun

VECTORS = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
RNG = np.random.default_rng(1)
X = RNG.standard_normal((40, 5)).astype(np.float32)
Y = np.repeat(np.arange(4), 10).astype(np.int64)
CLASSES = ("a", "b", "c", "d")
SPEC = GeldaSpec.model_validate(
    {
        "dataset": "ds_" + "0" * 32,
        "classes": {"source": "names"},
        "denoiser": {"width": 32, "blocks": 1},
        "objective": {"steps": 12, "batch_size": 8, "checkpoint_steps": 5},
    }
)


class Attempt:
    """One attempt at the stage, stopped at the `stop_at`-th look at whether to stop."""

    def __init__(self, folder: Path, stop_at: int | None, checkpoint: Checkpoint | None) -> None:
        self.checkpoint = checkpoint
        self.steps: list[int] = []
        scratch = folder / f"{stop_at}-{checkpoint.step if checkpoint else 0}"
        scratch.mkdir()
        self._left = stop_at
        self.task = TaskRun(
            claim=_claim(checkpoint),
            blobs=LocalBlobs(folder / "blobs"),
            scratch=scratch,
            settings=Settings(home=folder),
            shelf=Shelf(),
            send=self._hear,
            asked_to_stop=lambda: False,
        )
        self.task.should_stop = self._should_stop  # type: ignore[method-assign]  # to the step

    def _hear(self, said: FromChild) -> None:
        if isinstance(said, Checkpointed):
            self.checkpoint = said.checkpoint
            self.steps.append(said.checkpoint.step)

    def _should_stop(self) -> bool:
        if self._left is not None:
            self._left -= 1
        return self._left is not None and self._left < 0

    def draws(self) -> dict[str, bytes]:
        rivals = rival_vectors(EvaluateSpec(), VECTORS, 3)
        generators = RivalTraining(self.task, SPEC, rivals).train(X, Y, CLASSES)
        zero = np.zeros(4, dtype=np.int64)
        return {
            name: one.sample(np.arange(4), zero, seed=1, sampler=SamplerSpec(steps=2)).tobytes()
            for name, one in generators.items()
        }


def _claim(checkpoint: Checkpoint | None) -> Claim:
    empty: dict[str, Any] = {}
    return Claim(
        Lease("task", 1), "job", "tenant", "gelda", "evaluate", 0, "cpu",
        empty, 3, empty, empty, checkpoint, empty, empty, None,
    )  # fmt: skip


def test_there_are_rivals_only_where_vectors_carry_semantics() -> None:
    assert rival_vectors(EvaluateSpec(), None, 0) == {}
    rivals = rival_vectors(EvaluateSpec(), VECTORS, 0)
    assert list(rivals) == ["one_hot", "shuffled_vectors"]
    assert not np.array_equal(rivals["shuffled_vectors"], VECTORS)
    assert {row.tobytes() for row in rivals["shuffled_vectors"]} == {r.tobytes() for r in VECTORS}
    assert rival_vectors(EvaluateSpec(controls=("smote",)), VECTORS, 0) == {}


@pytest.mark.parametrize("stop_at", [7, 12, 19])
def test_an_interrupted_training_of_rivals_gives_the_same_draws(
    tmp_path: Path, stop_at: int
) -> None:
    calm = Attempt(tmp_path, None, None).draws()
    first = Attempt(tmp_path, stop_at, None)
    with pytest.raises(Interrupted):
        first.draws()
    second = Attempt(tmp_path, None, first.checkpoint)
    assert second.draws() == calm
    assert first.steps == sorted(first.steps)
    assert not set(first.steps) & set(second.steps)

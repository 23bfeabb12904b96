"""Steps 1 and 2 of GeLDA's path: what is fixed before any generator is trained.

Bae & Kim 2026: the foundation model is frozen (its embeddings come in), a light adapter is learned;
latents are then modelled at a layer l of that stack.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.checkpoints import load_model, save_model
from models.classifiers.adapter import fit_adapter
from models.classifiers.train import fit_head
from models.evaluation.metrics import Metric, log_score
from models.front import preparation as preparing
from models.front.blocks import AdapterBlock
from models.front.front import Front
from models.front.preparation import Preparation, transformed
from models.gelda.spec import GeldaSpec

Vectors = npt.NDArray[np.float32]

LOOKED_AT = 20_000
"""Rows of `val` on which preparations are compared and the flow's loss is watched, at most."""

ADAPTED_ON = 200_000
"""Training rows that the adapter sees, at most: with more, memory would grow and it would not."""


@dataclass(frozen=True)
class Prepared:
    """What generators and heads stand on.

    Attributes:
        preparation: embeddings to Z^(0).
        blocks: the adapter's, in order; the first l of them lead to Z^(l).
        layers: where generators are to be trained.
        scores: of each candidate preparation on `val`, mean log-probability of the right class; empty
            where there was no choice.
    """

    preparation: Preparation
    blocks: tuple[AdapterBlock, ...]
    layers: tuple[int, ...]
    scores: tuple[float, ...] = ()

    def front(self, layer: int) -> Front:
        """Return embeddings to Z^(l)."""
        return Front(self.preparation, self.blocks[:layer]).eval()

    def save(self, folder: Path) -> None:
        """Write everything into ``folder``."""
        whole = self.front(len(self.blocks))
        tensors = {f"front.{name}": value for name, value in whole.state_dict().items()}
        config = {"front": whole.config, "layers": self.layers, "scores": self.scores}
        save_model(folder, "prepared", tensors, config)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return what `save` wrote."""
        tensors, config = load_model(folder, "prepared", "cpu")
        front = Front.restore(
            config["front"], {k.removeprefix("front."): v for k, v in tensors.items()}
        )
        return cls(
            front.preparation,
            tuple(front.blocks),  # type: ignore[arg-type]
            tuple(config["layers"]),
            tuple(config["scores"]),
        )


@dataclass(frozen=True)
class Rows:
    """Embeddings (n × dim_in, may be memory-mapped) and classes (n, -1 without a label)."""

    x: npt.NDArray[np.floating[Any]]
    y: npt.NDArray[np.int64]

    def sample(self, most: int) -> "Rows":
        """Return the labelled rows, at most so many of them, drawn alike for equal rows."""
        rows = np.flatnonzero(self.y >= 0)
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
        return Rows(np.asarray(self.x[rows]), self.y[rows])


def prepare(
    train: Rows,
    val: Rows,
    n_classes: int,
    spec: GeldaSpec,
    *,
    metric: Metric,
    seed: int,
    device: str = "cpu",
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Prepared:
    """Fit the preparation that `val` likes best, then the adapter on it.

    Args:
        train: all training rows: those without a label are embeddings as much as the others.
        val: labelled rows to choose and to stop by; there may be none.
        n_classes: K.
        spec: candidates, adapter, layers and head.
        metric: whether the rows or the classes of `val` weigh alike.
        seed: the job's.
        device: where adapter and heads are trained.
        on_progress: called with parts done and parts in all.
        should_stop: asked often.

    Raises:
        Interrupted: ``should_stop`` said so.
    """
    known, looked_at = train.sample(ADAPTED_ON), val.sample(LOOKED_AT)
    plain = spec.classifier.model_copy(update={"head": "linear", "initial": None})
    parts = len(spec.preparation) + 1
    fitted, scores = [], []
    for number, candidate in enumerate(spec.preparation):
        made = preparing.fit(train.x, candidate)
        fitted.append(made)
        if len(spec.preparation) > 1 and len(looked_at.y):
            z = transformed(made, known.x)
            head = fit_head(z, known.y, n_classes, plain, seed, should_stop=should_stop)
            logits = head.logits(transformed(made, looked_at.x))
            scores.append(log_score(logits, looked_at.y, n_classes, metric))
        on_progress(number + 1, parts)
    best = fitted[int(np.argmax(scores)) if scores else 0]
    blocks: Sequence[AdapterBlock] = ()
    if spec.adapter.blocks:
        blocks = fit_adapter(
            transformed(best, known.x),
            known.y,
            n_classes,
            spec.adapter,
            plain,
            seed,
            held_out=(transformed(best, looked_at.x), looked_at.y) if len(looked_at.y) else None,
            device=device,
            should_stop=should_stop,
        )
    on_progress(parts, parts)
    return Prepared(best, tuple(blocks), layers_of(spec), tuple(scores))


def layers_of(spec: GeldaSpec) -> tuple[int, ...]:
    """Return the layers at which generators are to be trained, without repeats."""
    wanted = (spec.layer,) if isinstance(spec.layer, int) else spec.layer
    return tuple(dict.fromkeys(wanted))

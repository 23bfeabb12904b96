"""What is generated for classes left out, and the heads on it: GeLDA, closed forms, nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.left_out import Labels, Task
from benchmarks.longtail_data import LongTail
from models.classifiers.train import fit_head
from models.evaluation.trainer import items
from models.front import preparation
from models.front.front import Front
from models.front.preparation import transformed
from models.gelda import latents, method
from models.gelda.centres import prior_rows
from models.gelda.estimates import ridge
from models.gelda.generator import item_noise
from models.gelda.moments import Moments, within
from models.gelda.plan import derived_seed, item_seed
from models.gelda.rows import Members, Rows
from models.gelda.spec import GeldaSpec

Vectors = npt.NDArray[np.float32]
Rows32 = npt.NDArray[np.float32]

WORDS = {
    "gelda": "GeLDA",
    "real": "real rows only",
    "same_head": "real rows only, the same head",
    "neighbour": "neighbour Gaussian",
    "linear_ridge": "linear-ridge Gaussian",
    "kernel_ridge": "kernel-ridge Gaussian",
    "shuffled_flow": "GeLDA, shuffled vectors, true ones in the head",
    "shuffled": "GeLDA, shuffled vectors",
}

VARIANTS = ("similar", "ridge", "direct")
"""Of GeLDA: what estimate stands behind a class without rows, or a flow on latents themselves."""

SHARES = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0)
"""Of the first set of vectors in the kernel of the kernel ridge, which chooses by leave-one-out."""


@dataclass(frozen=True)
class Known:
    """What all tasks have in common.

    Attributes:
        data: the long tail.
        sets: class vectors of length 1, K × m each; together they are what the caller gives.
        spec: the job's.
        scratch: a folder for what is passing.
    """

    data: LongTail
    sets: Sequence[Vectors]
    spec: GeldaSpec
    scratch: Path

    @property
    def vectors(self) -> Vectors:
        """All sets side by side, of length 1."""
        return np.concatenate(self.sets, axis=1) / np.float32(len(self.sets) ** 0.5)

    def front(self, task: Task) -> Front:
        """Return the preparation, fitted to the rows that train."""
        rows = self.data.arrays["x"][task.train]
        return Front(preparation.fit(rows, self.spec.preparation[0])).eval()

    def related(self, vectors: Vectors) -> Tensor:
        """Return cosines, float64."""
        return torch.from_numpy(vectors.astype(np.float64) @ vectors.T.astype(np.float64))


class Trial:
    """One task and one seed: what is prepared once, and any arm's logits of the held rows.

    Args:
        known: data, vectors and spec.
        task: classes left out.
        front: of `Known.front`, the same for all seeds of a task.
        seed: of generator, draws and shuffling.
    """

    def __init__(self, known: Known, task: Task, front: Front, seed: int) -> None:
        self._known, self.task, self._seed = known, task, seed
        dataset = known.data.dataset
        self._x, self._y = dataset.x[task.train], dataset.y[task.train]
        self.held_y: Labels = dataset.y[task.held]
        self._front = front
        self._z = transformed(self._front, self._x)
        self._held = transformed(self._front, dataset.x[task.held])
        self._classes = dataset.classes
        per_class = known.spec.plan.per_class
        assert isinstance(per_class, int)
        self._cells, self._counters = items(np.full(len(self._classes), per_class))

    def logits(self, arm: str, variant: str = "similar") -> npt.NDArray[np.float32]:
        """Return (held rows, K) logits of an arm's head.

        Args:
            arm: a key of `WORDS`.
            variant: of `VARIANTS`, for GeLDA's arms.
        """
        vectors = self._shuffled if arm == "shuffled" else self._known.vectors
        spec = self._known.spec.classifier
        if arm == "real":
            spec = spec.model_copy(update={"head": "linear"})
        x, y = self._z, self._y
        if arm not in ("real", "same_head"):
            x, y = np.concatenate([x, self._drawn(arm, variant)]), np.concatenate([y, self._cells])
        similarity = self._known.related(vectors).numpy()
        n_real, k = len(self._y), len(self._classes)
        head = fit_head(x, y, k, spec, self._seed, n_real=n_real, similarity=similarity)
        return head.logits(self._held)

    @cached_property
    def _shuffled(self) -> Vectors:
        """Every class with the vector of another, or by chance its own."""
        rng = np.random.default_rng(derived_seed("shuffle", self._seed))
        return self._known.vectors[rng.permutation(len(self._classes))]

    def _drawn(self, arm: str, variant: str) -> Rows32:
        if arm == "gelda":
            return self._flow(self._known.vectors, variant)
        if arm in ("shuffled", "shuffled_flow"):
            return self._shuffled_flow(variant)
        return self._gaussian(arm)

    def _shuffled_flow(self, variant: str) -> Rows32:
        if variant not in self._kept:
            self._kept[variant] = self._flow(self._shuffled, variant)
        return self._kept[variant]

    @cached_property
    def _kept(self) -> dict[str, Rows32]:
        return {}

    def _flow(self, vectors: Vectors, variant: str) -> Rows32:
        spec = self._known.spec
        update = {"model": "direct"} if variant == "direct" else {"estimate": variant}
        modelled = spec.latents.model_copy(update=update)
        generator = method.train(
            self._x, self._y, classes=self._classes, vectors=vectors,
            spec=spec.model_copy(update={"latents": modelled}),
            seed=self._seed, scratch=self._known.scratch, front=self._front,
        )  # fmt: skip
        return generator.sample(
            self._cells, self._counters, seed=self._seed, sampler=spec.sampler, space="latent"
        )

    def _gaussian(self, arm: str) -> Rows32:
        """Return draws with the same moments and the same noise as the flow's: it is left out alone."""
        fitted = self._fitted
        if arm != "neighbour":
            fitted = replace(fitted, centres=self._ridge_centres(arm))
        noise = [
            item_noise(item_seed(self._seed, int(cell), int(counter)), self._front.dim)
            for cell, counter in zip(self._cells, self._counters, strict=True)
        ]
        members = Members.of_cells(torch.from_numpy(self._cells), 1)
        return fitted.inverse(torch.from_numpy(np.stack(noise)), members).numpy()

    @cached_property
    def _rows(self) -> Rows:
        nowhere = np.zeros(len(self._y), np.int64)
        k = len(self._classes)
        return Rows(x=self._x, y=self._y, subdomain=nowhere, front=self._front, n_classes=k)

    @cached_property
    def _moments(self) -> Moments:
        return Moments.of(self._rows)

    @cached_property
    def _fitted(self) -> latents.Latents:
        spec = self._known.spec.latents.model_copy(update={"estimate": "similar"})
        related = self._known.related(self._known.vectors)
        return latents.fit(self._rows, self._moments, related, torch.ones(1, 1), spec)[0]

    def _ridge_centres(self, arm: str) -> Tensor:
        """Return the means shrunk as the library does, towards an estimate by ridge; (K, 1, dim)."""
        n, means = self._moments.counts[:, 0], self._moments.means[:, 0]
        worth = prior_rows(means, n, within(self._rows, self._moments))
        if arm == "linear_ridge":
            found = ridge(means, n, self._known.related(self._known.vectors), worth, widths=())
        else:
            found = _best_mixture(
                means, n, worth, [self._known.related(v) for v in self._known.sets]
            )
        share = (n / (n + self._known.spec.latents.shrinkage * worth))[:, None]
        return (share * means + (1 - share) * found)[:, None].float()


def _best_mixture(means: Tensor, n: Tensor, worth: float, related: Sequence[Tensor]) -> Tensor:
    """Return the kernel ridge at the mixture of vector sets that tells left-out classes best."""
    rest = related[1:] or related
    others = torch.stack(list(rest)).mean(dim=0)
    seen = n > 0
    weights = n[seen] / (n[seen] + worth)
    candidates = [
        ridge(means, n, share * related[0] + (1 - share) * others, worth) for share in SHARES
    ]
    return min(
        candidates,
        key=lambda found: float(weights @ (found - means)[seen].square().sum(dim=1)),
    )

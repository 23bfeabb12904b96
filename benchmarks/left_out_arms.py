"""What is generated for classes left out, and the heads on it: GeLDA, closed forms, nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.left_out import Labels, Task
from benchmarks.longtail_data import LongTail
from models.classifiers.train import fit_head
from models.evaluation.controls import shared_root
from models.evaluation.trainer import items
from models.front import preparation
from models.front.front import Front
from models.front.preparation import transformed
from models.gelda import method
from models.gelda.centres import noise_rows, prior_rows
from models.gelda.estimates import ridge, similar
from models.gelda.moments import Moments, within
from models.gelda.rows import Rows
from models.gelda.spec import GeldaSpec
from models.seeds import derived_seed

Latents = npt.NDArray[np.float32]
Sets = Sequence[npt.NDArray[np.float32]]
"""Class vectors of length 1, K × m each; side by side they are what the caller gives."""

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

ESTIMATES = ("neighbour", "library_ridge", "linear_ridge", "kernel_ridge")
"""Of the mean of a class without rows: the first two are the library's `similar` and `ridge`; the last
also weighs the sets of vectors against each other."""

SHARES = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0)
"""Of the first set of vectors in the kernel of `kernel_ridge`, which chooses by leave-one-out."""


@dataclass(frozen=True)
class Known:
    """What all tasks have in common.

    Attributes:
        data: the long tail.
        sets: the classes' vectors.
        spec: the job's.
        scratch: a folder for what is passing.
    """

    data: LongTail
    sets: Sets
    spec: GeldaSpec
    scratch: Path


class LeftOut:
    """One task: what is prepared once for all seeds and arms.

    Args:
        known: data, vectors and spec.
        task: classes left out.
    """

    def __init__(self, known: Known, task: Task) -> None:
        self.known, self.task = known, task
        dataset = known.data.dataset
        self.x, self.y = dataset.x[task.train], dataset.y[task.train]
        self.held_y: Labels = dataset.y[task.held]
        self.classes = dataset.classes
        self.front = Front(preparation.fit(self.x, known.spec.preparation[0])).eval()
        self.z = transformed(self.front, self.x)
        self.held = transformed(self.front, dataset.x[task.held])
        per_class = known.spec.plan.per_class
        assert isinstance(per_class, int)
        self.cells, self.counters = items(np.full(len(self.classes), per_class))

    @cached_property
    def rows(self) -> Rows:
        """Rows as a generator sees them."""
        nowhere = np.zeros(len(self.y), np.int64)
        return Rows(
            x=self.x, y=self.y, subdomain=nowhere, front=self.front, n_classes=len(self.classes)
        )

    @cached_property
    def root(self) -> npt.NDArray[np.float64]:
        """Root of the covariance within classes."""
        n = np.bincount(self.y, minlength=len(self.classes))
        means = np.zeros((len(n), self.z.shape[1]))
        np.add.at(means, self.y, self.z)
        means /= np.maximum(n, 1)[:, None]
        return shared_root(self.z - means[self.y], len(self.y) - int((n > 0).sum()))

    @cached_property
    def _moments(self) -> tuple[Moments, Tensor]:
        """Moments, and the covariance within classes; both in the preparation's units."""
        moments = Moments.of(self.rows)
        return moments, within(self.rows, moments) * moments.scale[:, None] * moments.scale

    def centres(self, kind: str, sets: Sets) -> Latents:
        """Return (K, dim) means, shrunk as the library does towards one of `ESTIMATES`."""
        moments, S = self._moments
        n, means = moments.counts[:, 0], moments.means[:, 0] * moments.scale
        worth = noise_rows(means[:, None], n[:, None], S)
        related = _cosines(joined(sets))
        if kind == "neighbour":
            found = similar(means, n, related)
        elif kind == "kernel_ridge":
            found = _best_mixture(means, n, worth, [_cosines(vectors) for vectors in sets])
        elif kind == "linear_ridge":
            found = ridge(means, n, related, worth, widths=())
        else:
            found = ridge(means, n, related, worth)
        k0 = self.known.spec.latents.shrinkage * prior_rows(means - found, n, S)
        share = (n / (n + k0))[:, None]
        z = share * means + (1 - share) * found + moments.mean
        return np.asarray(z.numpy(), dtype=np.float32)


class Trial:
    """One seed of a task: any arm's logits of the held rows.

    Args:
        left_out: the task.
        seed: of generator, draws and shuffling.
    """

    def __init__(self, left_out: LeftOut, seed: int) -> None:
        self._of, self._seed = left_out, seed

    def logits(self, arm: str, estimate: str = "neighbour") -> npt.NDArray[np.float32]:
        """Return (held rows, K) logits of an arm's head.

        Args:
            arm: a key of `WORDS`.
            estimate: of `ESTIMATES`, for GeLDA's arms.
        """
        of, spec = self._of, self._of.known.spec.classifier
        if arm == "real":
            spec = spec.model_copy(update={"head": "linear"})
        x, y = of.z, of.y
        if arm not in ("real", "same_head"):
            x, y = np.concatenate([x, self._drawn(arm, estimate)]), np.concatenate([y, of.cells])
        vectors = joined(self._shuffled if arm == "shuffled" else of.known.sets)
        head = fit_head(
            x, y, len(of.classes), spec, self._seed,
            n_real=len(of.y), similarity=_cosines(vectors).numpy(),
        )  # fmt: skip
        return head.logits(of.held)

    def _drawn(self, arm: str, estimate: str) -> Latents:
        """Return draws: arms of one estimate differ in what surrounds it alone."""
        sets = self._shuffled if arm in ("shuffled", "shuffled_flow") else self._of.known.sets
        if arm == "gelda":
            residuals = self._residuals
        elif arm in ("shuffled", "shuffled_flow"):
            residuals = self._shuffled_residuals
        else:
            residuals, estimate = self._noise, arm
        return self._of.centres(estimate, sets)[self._of.cells] + residuals

    @cached_property
    def _shuffled(self) -> Sets:
        """Every class with the vectors of another, or by chance its own."""
        rng = np.random.default_rng(derived_seed("shuffle", self._seed))
        order = rng.permutation(len(self._of.classes))
        return [vectors[order] for vectors in self._of.known.sets]

    @cached_property
    def _residuals(self) -> Latents:
        return self._flow(self._of.known.sets)

    @cached_property
    def _shuffled_residuals(self) -> Latents:
        return self._flow(self._shuffled)

    @cached_property
    def _noise(self) -> Latents:
        rng = np.random.default_rng(self._seed)
        noise = rng.standard_normal((len(self._of.cells), self._of.front.dim))
        return np.asarray(noise @ self._of.root, dtype=np.float32)

    def _flow(self, sets: Sets) -> Latents:
        """Return a trained flow's draws minus what they were drawn around.

        Residuals are learned from the rows' own means: the estimate behind a class without rows has
        no part in them.
        """
        of, spec = self._of, self._of.known.spec
        generator = method.train(
            of.x, of.y, classes=of.classes, vectors=joined(sets), spec=spec,
            seed=self._seed, scratch=of.known.scratch, front=of.front,
        )  # fmt: skip
        drawn = generator.sample(
            of.cells, of.counters, seed=self._seed, sampler=spec.sampler, space="latent"
        )
        return np.asarray(drawn - generator.centres[of.cells], dtype=np.float32)


def joined(sets: Sets) -> npt.NDArray[np.float32]:
    """Return all sets side by side, of length 1."""
    return np.concatenate(sets, axis=1) / np.float32(len(sets) ** 0.5)


def _cosines(vectors: npt.NDArray[np.float32]) -> Tensor:
    unit = torch.from_numpy(vectors.astype(np.float64))
    return unit @ unit.T


def _best_mixture(means: Tensor, n: Tensor, worth: float, related: Sequence[Tensor]) -> Tensor:
    """Return the kernel ridge at the mixture of vector sets that tells left-out classes best."""
    others = torch.stack(list(related[1:] or related)).mean(dim=0)
    seen = n > 0
    weights = n[seen] / (n[seen] + worth)
    candidates = [
        ridge(means, n, share * related[0] + (1 - share) * others, worth) for share in SHARES
    ]
    return min(
        candidates,
        key=lambda found: float(weights @ (found - means)[seen].square().sum(dim=1)),
    )

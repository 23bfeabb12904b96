"""A subdomain without labels: what classifiers make of its latents, given those of others.

Rows are repeated until each class of each labelled subdomain counts alike, and the subdomain without
labels as much as a labelled one. Every way ends in the same linear head: mean cross-entropy on the
labelled rows, and beside it, weighted, on the rows that the way adds.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.subdomain_data import Labels, SubdomainData
from models.classifiers.head import Head
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.evaluation.controls import shared_root
from models.front import preparation
from models.front.front import Front
from models.front.spec import PreparationSpec
from models.gelda.method import Generator, train
from models.gelda.spec import DenoiserSpec, GeldaSpec, LatentSpec, ObjectiveSpec
from models.semantics.spec import OneHotVectors

Rows = npt.NDArray[np.floating[Any]]

COMPONENTS = 32
CELL_ROWS = 400
"""To which the rows of a class in a labelled subdomain are repeated; more than any has here, so that
weights within it differ little."""

ADDED = 150
"""Rows a class that a generator, or a Gaussian, adds."""

PENALTY = 0.1
"""L2 penalty of every head, on latents of unit mean square: far more than within a language, for what
holds in one and not in the next is not to be learned."""

NO_ID = "0" * 32


@dataclass(frozen=True)
class Task:
    """Latents of labelled subdomains, and of one whose labels are not looked at.

    Attributes:
        z: (n, dim) labelled rows, repeated.
        y: (n,) their classes.
        subdomain: (n,) indices into ``subdomains``.
        target: (m, dim) rows of the last subdomain, as they are.
        classes: names, K.
        subdomains: names, S; the last is the one without labels.
    """

    z: Rows
    y: Labels
    subdomain: Labels
    target: Rows
    classes: tuple[str, ...]
    subdomains: tuple[str, ...]

    @classmethod
    def of(
        cls, data: SubdomainData, sources: tuple[int, ...], target: int, *, seen: bool
    ) -> "Task":
        """Prepare the task.

        Every subdomain is standardised by itself, the target by the sources' mean moments where its
        latents are not to be known (``seen`` false): then the components are the sources' alone.
        """
        own = [data.x[data.subdomain == one].astype(np.float64) for one in (*sources, target)]
        moments = [(x.mean(axis=0), x.std(axis=0)) for x in own]
        if not seen:
            moments[-1] = tuple(np.mean(kind, axis=0) for kind in zip(*moments[:-1], strict=True))
        own = [
            (x - mean) / np.where(scale > 1e-6, scale, np.inf)
            for x, (mean, scale) in zip(own, moments, strict=True)
        ]
        y = [data.y[data.subdomain == one] for one in sources]
        chosen = [_repeated_by_class(labels, len(data.classes)) for labels in y]
        labelled = np.concatenate([x[rows] for x, rows in zip(own, chosen, strict=False)])
        many = len(chosen[0])
        fitted_to = np.concatenate(
            [labelled, *([np.resize(own[-1], (many, own[-1].shape[1]))] * seen)]
        )
        spec = PreparationSpec(standardise=False, components=COMPONENTS)
        made = preparation.fit(fitted_to, spec)
        z = preparation.transformed(made, labelled)
        size = np.sqrt(np.square(z).mean())
        return cls(
            z=z / size,
            y=np.concatenate([labels[rows] for labels, rows in zip(y, chosen, strict=True)]),
            subdomain=np.repeat(np.arange(len(sources)), many),
            target=preparation.transformed(made, own[-1]) / size,
            classes=data.classes,
            subdomains=tuple(data.subdomains[one] for one in (*sources, target)),
        )

    def plain(self) -> Head:
        """Return the head of the labelled rows alone."""
        return self.with_added(self.z[:0], self.y[:0], 0.0)

    def with_added(self, z: Rows, y: Labels, weight: float) -> Head:
        """Return the head of the labelled rows and of others, which weigh ``weight`` times as much."""
        # Factor 0 on the prior: plain cross-entropy on either kind of rows.
        spec = HeadSpec(
            loss="logit_adjusted", adjustment=0, weight_decay=PENALTY, synthetic_weight=weight
        )
        rows, labels = np.concatenate([self.z, z]), np.concatenate([self.y, y])
        return fit_head(rows, labels, len(self.classes), spec, 0, n_real=len(self.z))

    def posterior(self, head: Head) -> Rows:
        """Return the shares of the classes in the target's rows, (m, K)."""
        logits = np.asarray(head.logits(self.target), dtype=np.float64)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class SelfTraining:
    """Pseudo-labels: of each predicted class its surest rows, labelled so, and again."""

    share: float
    rounds: int
    weight: float

    def heads(self, task: Task, _seed: int) -> list[Head]:
        """Return the head after each round."""
        found, head = [], task.plain()
        for _ in range(self.rounds):
            shares = task.posterior(head)
            said = shares.argmax(axis=1)
            sure = []
            for label in np.unique(said):
                rows = np.flatnonzero(said == label)
                best = rows[np.argsort(-shares[rows, label], kind="stable")]
                sure.append(np.resize(best[: int(np.ceil(self.share * len(rows)))], CELL_ROWS))
            rows = np.concatenate(sure)
            head = task.with_added(task.target[rows], said[rows], self.weight)
            found.append(head)
        return found


@dataclass(frozen=True)
class PseudoGaussian:
    """Draws around the target's posterior-weighted class means, with the sources' covariance."""

    sharpening: float
    rounds: int
    weight: float

    def heads(self, task: Task, seed: int) -> list[Head]:
        """Return the head after each round."""
        rng, k = np.random.default_rng(seed), len(task.classes)
        cells = task.subdomain * k + task.y
        means = np.stack([task.z[cells == cell].mean(axis=0) for cell in np.unique(cells)])
        residuals = task.z - means[np.unique(cells, return_inverse=True)[1]]
        root = shared_root(residuals, len(residuals))
        y, head, found = np.repeat(np.arange(k), ADDED), task.plain(), []
        for _ in range(self.rounds):
            shares = sharpened(task.posterior(head), self.sharpening)
            centres = shares.T @ task.target / np.maximum(shares.sum(axis=0), 1e-9)[:, None]
            noise = rng.standard_normal((len(y), task.z.shape[1])) @ root
            head = task.with_added(centres[y] + noise, y, self.weight)
            found.append(head)
        return found


@dataclass(frozen=True)
class Gelda:
    """The flow on source rows and on target rows whose γ is the posterior-weighted class vector.

    Attributes:
        sharpening: exponent on the posterior before it weights.
        rounds: how often posterior and generator are made anew.
        weight: of the drawn rows' loss.
        steps: of the flow's training.
    """

    sharpening: float
    rounds: int
    weight: float
    steps: int

    def heads(self, task: Task, seed: int, *, subdomains: bool = True) -> list[Head]:
        """Return the head after each round, on rows drawn at the target's κ.

        Without ``subdomains`` nothing is said of them, in training and in drawing.
        """
        return [
            self._head(task, generator, len(task.subdomains) - 1, seed)
            for generator in self._generators(task, seed, subdomains)
        ]

    def last_heads(self, task: Task, seed: int) -> tuple[Head, Head]:
        """Return the heads of rows drawn at the target's κ and at a source's, after all rounds."""
        *_, generator = self._generators(task, seed, True)
        last = len(task.subdomains) - 1
        return self._head(task, generator, last, seed), self._head(task, generator, 0, seed)

    def _generators(self, task: Task, seed: int, subdomains: bool) -> Iterator[Generator]:
        """Yield the generator of each round; the next one's posterior is of the head on its rows."""
        head = task.plain()
        for number in range(self.rounds):
            shares = sharpened(task.posterior(head), self.sharpening)
            generator = self._generator(task, shares, subdomains, 1000 * number + seed)
            yield generator
            if number + 1 < self.rounds:
                head = self._head(task, generator, len(task.subdomains) - 1, seed)

    def from_sources(self, task: Task, seed: int) -> Head:
        """Return the head of rows that a flow draws which saw the labelled rows alone."""
        return self._head(task, self._generator(task, None, False, seed), 0, seed)

    def _generator(self, task: Task, shares: Rows | None, subdomains: bool, seed: int) -> Generator:
        x, y, subdomain = task.z, task.y, task.subdomain
        if shares is not None:
            many = int((subdomain == 0).sum())
            rows = np.resize(np.arange(len(task.target)), many)
            x, shares = np.concatenate([x, task.target[rows]]), shares[rows]
            y = np.concatenate([y, np.full(many, -1)])
            subdomain = np.concatenate([subdomain, np.full(many, len(task.subdomains) - 1)])
        with tempfile.TemporaryDirectory() as scratch:
            return train(
                x,
                y,
                classes=task.classes,
                vectors=None,
                spec=_spec(self.steps),
                seed=seed,
                scratch=Path(scratch),
                front=Front.identity(x.shape[1]),
                subdomain=subdomain if subdomains else None,
                subdomains=task.subdomains if subdomains else (),
                posterior=shares,
            )

    def _head(self, task: Task, generator: Generator, subdomain: int, seed: int) -> Head:
        y = np.repeat(np.arange(len(task.classes)), ADDED)
        cells = y * len(generator.subdomains) + subdomain if generator.subdomains else y
        numbers = np.tile(np.arange(ADDED), len(task.classes))
        z = generator.sample(cells, numbers, seed=seed, sampler=_spec(1).sampler)
        return task.with_added(z, y, self.weight)


def sharpened(shares: Rows, exponent: float) -> Rows:
    """Return shares in proportion to their powers."""
    powers = shares**exponent
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _repeated_by_class(y: Labels, n_classes: int) -> Labels:
    """Return row numbers in which every class occurs `CELL_ROWS` times."""
    return np.concatenate(
        [np.resize(np.flatnonzero(y == label), CELL_ROWS) for label in range(n_classes)]
    )


def _spec(steps: int) -> GeldaSpec:
    one_hot = OneHotVectors(source="one_hot")
    return GeldaSpec(
        dataset=f"ds_{NO_ID}",
        classes=one_hot,
        subdomains=one_hot,
        latents=LatentSpec(model="direct"),
        denoiser=DenoiserSpec(width=128, blocks=2),
        objective=ObjectiveSpec(steps=steps, batch_size=128, learning_rate=2e-3, patience=None),
    )

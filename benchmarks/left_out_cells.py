"""What a head says about test rows when one cell, a class in a subdomain, has no training row.

Every arm stands on the same preparation, fitted without the cell, and has the same linear head;
arms differ in the rows that they add for the cell.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.subdomain_data import Labels, SubdomainData
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.evaluation.data import EvaluationData, LabelledRows
from models.evaluation.transfer_controls import cell_gaussian, cell_transport
from models.front import preparation
from models.front.front import Front
from models.front.spec import PreparationSpec
from models.gelda.method import Generator, train
from models.gelda.spec import DenoiserSpec, GeldaSpec, LatentSpec, ObjectiveSpec, SamplerSpec
from models.semantics.spec import LearnedVectors, MeanVectors, OneHotVectors

Floats = npt.NDArray[np.float32]

FOLDS = 2
ADDED = 150
"""Rows that an arm adds for the cell. Their total weight does not depend on it."""

MOVED = 4 * ADDED
"""The same for transport, which draws real rows with replacement: enough to see nearly all."""

WEIGHT = 2.0
"""Total weight of the added rows, in median cells of the real ones."""

PENALTY = 0.02
"""L2 penalty of every arm's head, beside a mean loss on latents of unit mean square."""

NO_ID = "0" * 32


ONE_HOT = OneHotVectors(source="one_hot")
"""Both γ and κ: class and subdomain were each seen elsewhere, so no vector has to say what they are like."""


@dataclass(frozen=True)
class Design:
    """How GeLDA models a set's latents: settings that stand beforehand.

    Attributes:
        components: of the preparation that all arms share.
        latents: whether residuals around additive means are modelled, or the latents themselves.
        sampler: with which conditions they are drawn.
        steps: of the training of each flow.
    """

    components: int
    latents: LatentSpec
    sampler: SamplerSpec
    steps: int


DESIGNS = {
    "residual": Design(
        64,
        LatentSpec(model="residual", shrinkage=0, estimate="similar"),
        SamplerSpec(guidance=0, guidance_subdomain=0),
        steps=150,
    ),
    "direct": Design(128, LatentSpec(model="direct"), SamplerSpec(), steps=250),
}


@dataclass(frozen=True)
class LeftOut:
    """One cell left out of one fold's training rows; arrays hold row numbers.

    Attributes:
        seed: of the folds, the generators and the draws.
        fold: whose rows are tested on.
        label: the class.
        subdomain: the subdomain.
        training: rows to train on.
        cell: the rows of the cell itself that would be training rows.
        tested: rows of the subdomain in the fold.
    """

    seed: int
    fold: int
    label: int
    subdomain: int
    training: Labels
    cell: Labels
    tested: Labels


def left_out_cells(data: SubdomainData, seeds: int) -> Iterator[LeftOut]:
    """Yield every cell with rows, left out of every fold, seed by seed."""
    for seed in range(seeds):
        folds = data.folds(FOLDS, seed)
        for cell in np.unique(data.cells):
            label, subdomain = divmod(int(cell), len(data.subdomains))
            for fold in range(FOLDS):
                inside, own = folds != fold, data.cells == cell
                yield LeftOut(
                    seed, fold, label, subdomain,
                    np.flatnonzero(inside & ~own),
                    np.flatnonzero(inside & own),
                    np.flatnonzero(~inside & (data.subdomain == subdomain)),
                )  # fmt: skip


def arms(data: SubdomainData, out: LeftOut, design: Design) -> dict[str, Floats]:
    """Return the logits of every arm on the tested rows, (tested, K).

    Args:
        data: all rows.
        out: the cell, and which rows are which.
        design: GeLDA's.
    """
    latents = _Latents.of(data, out, design.components)
    evaluation = latents.evaluation
    counts = np.zeros(len(data.classes) * len(data.subdomains), np.int64)
    cell = out.label * len(data.subdomains) + out.subdomain
    counts[cell] = ADDED
    spec = gelda_spec(design)
    others = {"classes": LearnedVectors(), "subdomains": MeanVectors(source="means")}
    learned = spec.model_copy(update=others)
    own = list(range(len(data.classes)))
    meaning = _Generated(latents, out, spec, [own] * len(data.subdomains))
    added = {
        "gelda": meaning.drawn(),
        "kappa_off": meaning.drawn_without_subdomain(),
        "shuffled": _Generated(latents, out, spec, _dealt(data, out.seed)).drawn(),
        "learned": _Generated(latents, out, learned, [own] * len(data.subdomains)).drawn(),
        "neighbour": cell_gaussian(evaluation, counts, out.seed)[0],
        "transport": cell_transport(evaluation, counts * MOVED // ADDED, out.seed)[0],
    }
    found = {name: latents.logits(out.label, z) for name, z in added.items()}
    found["real"] = latents.logits(out.label, latents.cell[:0])
    found["ceiling"] = latents.logits_of_real(out.label, latents.cell)
    return found


def gelda_spec(design: Design) -> GeldaSpec:
    """Return the settings of a flow small enough for hundreds of trainings."""
    return GeldaSpec(
        dataset=f"ds_{NO_ID}",
        classes=ONE_HOT,
        subdomains=ONE_HOT,
        latents=design.latents,
        denoiser=DenoiserSpec(width=128, blocks=2),
        objective=ObjectiveSpec(
            steps=design.steps, batch_size=128, learning_rate=2e-3, patience=None
        ),
        sampler=design.sampler,
    )


@dataclass(frozen=True)
class _Latents:
    """Prepared rows, scaled to unit mean square so that one penalty fits every set."""

    evaluation: EvaluationData
    cell: Floats

    @classmethod
    def of(cls, data: SubdomainData, out: LeftOut, components: int) -> "_Latents":
        spec = PreparationSpec(components=components)
        made = preparation.fit(data.x[out.training], spec)
        trained = preparation.transformed(made, data.x[out.training])
        size = np.float32(np.sqrt(np.square(trained).mean()))

        def rows(numbers: Labels) -> LabelledRows:
            z = preparation.transformed(made, data.x[numbers]) / size
            return LabelledRows(z, data.y[numbers], None, data.subdomain[numbers])

        evaluation = EvaluationData(
            train=rows(out.training),
            val=rows(out.tested[:0]),
            test=rows(out.tested),
            classes=data.classes,
            subdomains=data.subdomains,
        )
        return cls(evaluation, np.asarray(rows(out.cell).x))

    def logits(self, label: int, added: Floats) -> Floats:
        """Return logits on the tested rows of a head that saw the added rows of the cell too."""
        real = self.evaluation.train
        cells = self.evaluation.cell_counts
        weight = WEIGHT * float(np.median(cells[cells > 0])) / len(real.y)
        # Factor 0 on the prior: plain cross-entropy on the real rows, and beside it, weighted, on
        # the added ones.
        spec = HeadSpec(
            loss="logit_adjusted", adjustment=0, weight_decay=PENALTY, synthetic_weight=weight
        )
        return self._fitted(label, added, spec, len(real.y))

    def logits_of_real(self, label: int, added: Floats) -> Floats:
        """Return the same where the added rows are real ones, and count as such."""
        rows = len(self.evaluation.train.y) + len(added)
        return self._fitted(label, added, HeadSpec(weight_decay=PENALTY), rows)

    def _fitted(self, label: int, added: Floats, spec: HeadSpec, n_real: int) -> Floats:
        real = self.evaluation.train
        z = np.concatenate([real.x, added])
        y = np.concatenate([real.y, np.full(len(added), label)])
        head = fit_head(z, y, len(self.evaluation.classes), spec, 0, n_real=n_real)
        return np.asarray(head.logits(self.evaluation.test.x), dtype=np.float32)


class _Generated:
    """A generator trained on rows whose classes have the vectors of others, or their own.

    Args:
        latents: rows to train on.
        out: the cell to draw.
        spec: of the generator.
        dealt: for each subdomain, the class whose vector each class has there.
    """

    def __init__(
        self, latents: _Latents, out: LeftOut, spec: GeldaSpec, dealt: list[list[int]]
    ) -> None:
        rows, known = latents.evaluation.train, latents.evaluation
        assert rows.subdomain is not None
        self._rows, self._out, self._spec = rows, out, spec
        self._cell = dealt[out.subdomain][out.label] * len(known.subdomains) + out.subdomain
        with tempfile.TemporaryDirectory() as scratch:
            self._generator: Generator = train(
                rows.x,
                np.asarray(dealt)[rows.subdomain, rows.y],
                classes=known.classes,
                vectors=None,
                spec=spec,
                seed=out.seed,
                scratch=Path(scratch),
                front=Front.identity(rows.x.shape[1]),
                subdomain=np.asarray(rows.subdomain),
                subdomains=known.subdomains,
            )

    def drawn(self, sampler: SamplerSpec | None = None) -> Floats:
        """Return rows of the cell."""
        numbers = np.arange(ADDED)
        cells = np.full(ADDED, self._cell)
        return np.asarray(
            self._generator.sample(
                cells, numbers, seed=self._out.seed, sampler=sampler or self._spec.sampler
            )
        )

    def drawn_without_subdomain(self) -> Floats:
        """Return rows of the class as the same flow draws them where nothing is said of κ."""
        without = self._spec.sampler.model_copy(update={"guidance_subdomain": 0.0})
        drawn = self.drawn(without)
        if self._spec.latents.model == "direct":
            return drawn
        elsewhere = np.asarray(self._rows.x)[self._rows.y == self._out.label].mean(axis=0)
        return np.asarray(drawn - self._generator.centres[self._cell] + elsewhere)


def _dealt(data: SubdomainData, seed: int) -> list[list[int]]:
    """Return, for each subdomain anew, a dealing of the classes' vectors."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(len(data.classes)).tolist() for _ in data.subdomains]

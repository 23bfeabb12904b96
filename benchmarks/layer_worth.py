"""What a layer is worth to a generator and to the head above it: diversity, relevance and gain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.face import Face
from benchmarks.figures import Estimate, lines
from models.classifiers.train import fit_head
from models.evaluation.data import EvaluationData
from models.evaluation.interval import paired_interval
from models.evaluation.metrics import balanced_accuracy
from models.evaluation.settings import Setting
from models.evaluation.trainer import Trainer, first_rows
from models.evaluation.two_samples import neighbourhoods
from models.gelda.spec import GeldaSpec

Labels = npt.NDArray[np.int64]
Latents = npt.NDArray[np.floating[Any]]
Figures = dict[str, float]
Added = tuple[Latents, Labels]

COMPARED = 20
"""Rows a class in samples whose diversity is measured."""

GELDA, REAL = "gelda", "real"
GAINS = {"gain": "over real rows alone", "over_repeated": "over the few real ones repeated"}
MEASURES = ("recall", "recall_of_real", "rank", "rank_of_real", "probe")


def diversity(known: EvaluationData, drawn: Latents, y: Labels) -> Figures:
    """Return recall and effective rank of synthetic rows, and of real ones in their place.

    Args:
        known: its test rows stand for what is real.
        drawn: synthetic rows.
        y: their classes.
    """
    k = len(known.classes)
    rows = np.full(k, COMPARED)
    test = known.test
    real = first_rows(test.y, rows)
    others = np.setdiff1d(first_rows(test.y, 2 * rows), real)
    made = drawn[first_rows(y, rows)]
    seen = [np.asarray(x, dtype=np.float64) for x in (test.x[real], made, test.x[others])]
    recall, reference = (float(neighbourhoods(seen[0], x).recall) for x in seen[1:])
    return {
        "recall": 100 * recall,
        "recall_of_real": 100 * reference,
        "rank": effective_rank(drawn, y),
        "rank_of_real": effective_rank(test.x, test.y),
    }


def effective_rank(x: Latents, y: npt.NDArray[np.integer[Any]]) -> float:
    """Return exp of the entropy of the within-class covariance's eigenvalues (Roy & Vetterli 2007)."""
    z = np.asarray(x, dtype=np.float64)
    residual = np.concatenate(
        [z[y == label] - z[y == label].mean(axis=0) for label in np.unique(y)]
    )
    values = np.linalg.eigvalsh(residual.T @ residual).clip(min=0)
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def relevance(known: EvaluationData, spec: GeldaSpec) -> Figures:
    """Return the mean recall on test rows of a linear head on real rows of Z^(l)."""
    plain = spec.classifier.model_copy(update={"head": "linear"})
    head = fit_head(known.train.x, known.train.y, len(known.classes), plain, 0)
    right = head.predict(known.test.x) == known.test.y
    return {"probe": 100 * balanced_accuracy(right, known.test.y, len(known.classes))}


def heads(
    known: EvaluationData,
    spec: GeldaSpec,
    added: Mapping[str, Added | None],
    seed: int,
    penalties: Sequence[float] = (1.0,),
) -> dict[str, Labels]:
    """Return what heads say of the test rows, fine-tuned with the blocks above on real and added rows.

    Args:
        known: real rows.
        spec: of the head.
        added: by arm, what is added to the training rows; None adds nothing.
        seed: of the heads, the same for every arm.
        penalties: as multiples of the head's own; of several, validation chooses for each arm.
    """
    trainer = Trainer(known, spec.classifier, seeds=1, seed=seed)
    said = {}
    for arm, rows in added.items():
        fitted = [trainer.fit(GELDA, Setting(penalty=one), rows)[0] for one in penalties]
        if len(fitted) > 1:
            scores = trainer.score_on_val(fitted, "balanced_accuracy")
            fitted = [fitted[int(np.argmax(scores))]]
        said[arm] = fitted[0].predict(known.test.x)
    return said


def pooled(
    y: Labels, figures: Sequence[Figures], said: Sequence[Mapping[str, Labels]]
) -> dict[str, Any]:
    """Return a layer's figures over seeds, in percent, and what GeLDA gains over the other arms.

    Args:
        y: classes of the test rows.
        figures: by seed.
        said: by seed and arm, of the test rows; ``real`` and ``gelda`` are among the arms.
    """
    right = {arm: np.stack([one[arm] == y for one in said]) for arm in said[0]}
    k = int(y.max()) + 1
    told: dict[str, Any] = {
        key: round(float(np.mean([one[key] for one in figures])), 2) for key in figures[0]
    }
    told |= {arm: round(100 * balanced_accuracy(rows, y, k), 2) for arm, rows in right.items()}
    for arm, others in right.items():
        if arm != GELDA:
            lead = paired_interval(right[GELDA], others, y)
            name = "gain" if arm == REAL else f"over_{arm}"
            told[name] = [round(100 * value, 2) for value in (lead.mean, lead.low, lead.high)]
            told["standing" if arm == REAL else f"standing_over_{arm}"] = lead.standing
    told["by_seed"] = {
        arm: [round(100 * balanced_accuracy(one, y, k), 2) for one in rows]
        for arm, rows in right.items()
    }
    return told


@dataclass(frozen=True)
class Shown:
    """How layers are shown: the figures' names and the words in them."""

    stem: str
    x_label: str
    holds: str
    gained: str

    def table(self, face: Face, told: Mapping[str, Mapping[str, Any]]) -> None:
        """Print a row a layer, in the order given."""
        first = next(iter(told.values()))
        columns = [*MEASURES, *first["by_seed"]]
        leads = {"gain": "standing"} | {
            name: f"standing_{name}" for name in first if name.startswith("over_")
        }
        rows = []
        for name, found in told.items():
            texts = []
            for lead, standing in leads.items():
                mean, low, high = found[lead]
                texts.append(f"{mean:+.2f} [{low:+.2f}, {high:+.2f}] {found[standing]}")
            rows.append((name, *(f"{found[column]:.2f}" for column in columns), *texts))
        words = [f"{lead.replace('_', ' ')} [95 %]" for lead in leads]
        face.table(("layer", *columns, *words), rows)

    def draw(self, face: Face, told: Mapping[float, Mapping[str, Any]]) -> None:
        """Draw what the latents of each layer are like, and what is gained there."""
        words = {
            "recall_of_real": "recall of real held-out rows",
            "recall": "diversity: recall of synthetic rows",
            "probe": "relevance: a linear head on real rows",
        }
        series = {
            text: [(layer, Estimate(found[key])) for layer, found in told.items()]
            for key, text in words.items()
        }
        y_label = "percent, higher is better"
        face.figure(
            self.stem,
            lambda: lines(series, x_label=self.x_label, y_label=y_label, title=self.holds),
        )
        gains = {
            name: [(layer, Estimate(*found[key])) for layer, found in told.items()]
            for key, name in GAINS.items()
            if key in next(iter(told.values()))
        }
        face.figure(
            f"{self.stem}-gain",
            lambda: lines(
                gains, x_label=self.x_label, y_label="points GeLDA is ahead", title=self.gained
            ),
        )

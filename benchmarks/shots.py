"""GeLDA by rows a class: at how many the gain over each rival ends.

    python -m benchmarks.shots --data cifar100_lt100_mobilenetv2.npz \
        --vectors cifar100_class_vectors.npz:unit_sphere,glove

Data: npz with ``x, y, x_test, y_test, classes``. Of a long tail, the classes with 60 or more training rows are
kept (with all their test rows): each gives 1, 2, 5, 10, 20 and 50 rows to train on, smaller sets inside
larger ones, and 10 others to choose by and to stop training by. Every arm has the preparation, the
loss and, but for the linear one, the kernel head of `benchmarks.longtail`, and chooses its penalty for each number of rows; the
penalty's middle is a prior of ten rows, as the service has it. A real user with one row a class
has no ten to choose by: what is compared here is what each method can do.

A seed draws the rows anew and repeats generator and heads; what is chosen is chosen once. Cost of 3
seeds on one core: about 3 minutes. Expect a lead over heads without vectors at 1 and 2 rows, level
at 5 and 10, a little ahead at 20 and 50.
"""

import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.comparison import Comparison, pooled
from benchmarks.face import Face
from benchmarks.figures import Estimate, lines
from benchmarks.longtail import spec_of
from benchmarks.longtail_data import LongTail, class_vectors
from models.embeddings.dataset import EmbeddingDataset
from models.evaluation.arms import LABELS
from models.evaluation.settings import Choice
from models.evaluation.spec import EvaluateSpec
from models.evaluation.splits import TEST, TRAIN, VAL
from models.gelda.spec import GeldaSpec
from models.planning.spec import PlanSpec
from models.study.rivals import Semantics
from models.study.study import Study

Labels = npt.NDArray[np.int64]

SHOTS = (1, 2, 5, 10, 20, 50)
VAL_ROWS = 10
STEPS, QUICK_STEPS = 300, 5
PER_CLASS = 60
DRAWN = ("logit_adjusted", "same_head", "smote", "gaussian_1", "gaussian_shrunk")
"""Rivals in the figure."""


@dataclass(frozen=True)
class Shots:
    """The classes with rows enough.

    Attributes:
        dataset: their training rows, then their test rows.
        training: how many are training rows.
        names: of the classes kept, as the file has them.
    """

    dataset: EmbeddingDataset
    training: int
    names: npt.NDArray[Any]

    @classmethod
    def of(cls, data: LongTail, most: int) -> "Shots":
        """Keep the classes with ``most`` rows to train on and those to choose by."""
        a, kept = data.arrays, np.flatnonzero(data.counts >= most + VAL_ROWS)
        if len(kept) < 2:
            raise SystemExit(f"fewer than 2 classes have {most + VAL_ROWS} training rows")
        x, y = [], []
        for part in ("", "_test"):
            rows = np.isin(a[f"y{part}"], kept)
            x.append(a[f"x{part}"][rows])
            y.append(np.searchsorted(kept, a[f"y{part}"][rows]))
        labels = np.concatenate(y).astype(np.int64)
        names = a["classes"][kept]
        nowhere = np.full(len(labels), -1, np.int8)
        dataset = EmbeddingDataset(
            x=np.concatenate(x), y=labels, split=nowhere, classes=tuple(map(str, names))
        )
        return cls(dataset, len(y[0]), names)

    @property
    def test_y(self) -> Labels:
        """Classes of the test rows."""
        return self.dataset.y[self.training :]

    def split(self, shots: int, most: int, seed: int) -> npt.NDArray[np.int8]:
        """Return the split of each row: ``shots`` a class train, those after ``most`` choose."""
        split = np.full(len(self.dataset.y), -1, np.int8)
        split[self.training :] = TEST
        rng, y = np.random.default_rng(seed), self.dataset.y[: self.training]
        for label in range(len(self.names)):
            rows = rng.permutation(np.flatnonzero(y == label))
            split[rows[:shots]] = TRAIN
            split[rows[most : most + VAL_ROWS]] = VAL
        return split


def main() -> int:
    face = Face(__doc__, seeds=3)
    face.parser.add_argument(
        "--vectors", required=True, help="FILE.npz:ARRAY[,ARRAY] with class vectors, and `classes`"
    )
    arguments = face.parse(data=1)
    sizes = SHOTS[1:3] if arguments.quick else SHOTS
    data = LongTail.read(arguments.data[0])
    kept = Shots.of(data, max(sizes))
    vectors = class_vectors(arguments.vectors, kept.names)
    told = {shots: _at(face, arguments, data, kept, vectors, shots, max(sizes)) for shots in sizes}
    _show(face, kept, told)
    face.finish({"rows": told, "classes": len(kept.names), "seeds": arguments.seeds})
    return 0


def specs(data: LongTail, quick: bool) -> tuple[GeldaSpec, EvaluateSpec]:
    """Return the long tail's settings, with the penalty that grows as rows get fewer."""
    spec, evaluation = spec_of(data, quick)
    head = spec.classifier.model_copy(update={"weight_decay": None, "adjustment": 1.0})
    steps = QUICK_STEPS if quick else STEPS
    objective = spec.objective.model_copy(update={"steps": steps})
    update = {"classifier": head, "objective": objective, "plan": PlanSpec(per_class=PER_CLASS)}
    controls = ("logit_adjusted", "same_head", "oversampling", "smote", "gaussian_1", "gaussian_2")
    chosen = {
        # Equal rows a class have no prior to adjust for.
        "adjustments": (),
        "temperatures": (1.0,),
        "penalties": (1.0, 0.3, 3.0),
        "controls": (*controls, "gaussian_shrunk", "nearest_class_mean"),
    }
    return spec.model_copy(update=update), evaluation.model_copy(update=chosen)


def _at(
    face: Face,
    arguments: Namespace,
    data: LongTail,
    kept: Shots,
    vectors: npt.NDArray[np.float32],
    shots: int,
    most: int,
) -> dict[str, dict[str, Any]]:
    spec, evaluation = specs(data, arguments.quick)
    choice: Choice | None = None
    said = []
    for seed in range(arguments.seeds):
        face.begin(f"{shots} rows a class, seed {seed}")
        with tempfile.TemporaryDirectory() as scratch:
            study = Study(
                kept.dataset, kept.split(shots, most, seed), spec, evaluation,
                Semantics(vectors), seed, Path(scratch),
            )  # fmt: skip
            choice = choice or study.choose()
            result = study.measure(choice)
        said.append({name: arm.predictions for name, arm in result.arms.items()})
    found = Comparison(kept.test_y, pooled(said), {}, words=LABELS).figures()
    assert choice is not None
    for name, figures in found.items():
        figures["penalty"] = choice.of(name).penalty
    return found


def _show(face: Face, kept: Shots, told: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
    first = next(iter(told.values()))
    columns = [f"{shots} row{'s' * (shots > 1)}" for shots in told]
    rows = [
        (figures["label"], *(f"{told[shots][name]['all']:.2f}" for shots in told))
        for name, figures in first.items()
    ]
    face.table(("accuracy", *columns), rows)
    leads = [
        (figures["label"], *(_lead(told[shots][name]["lead"]) for shots in told))
        for name, figures in first.items()
        if "lead" in figures
    ]
    face.table(("GeLDA minus", *columns), leads)
    series = {
        LABELS[name]: [(shots, Estimate(*told[shots][name]["lead"])) for shots in told]
        for name in DRAWN
        if name in first
    }
    face.figure(
        "shots",
        lambda: lines(
            series,
            x_label="training rows a class",
            y_label="GeLDA minus it, points",
            title=f"{len(kept.names)} classes: where the gain ends",
            log_x=True,
        ),
    )


def _lead(lead: tuple[float, float, float]) -> str:
    mean, low, high = lead
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    sys.exit(main())

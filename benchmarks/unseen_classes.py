"""Classes never seen: ten of a hundred left out, with nothing but their vectors, six times over.

    python -m benchmarks.unseen_classes --data cifar100_lt100_mobilenetv2.npz \
        --vectors cifar100_class_vectors.npz:unit_sphere,glove

Data: npz with ``x, y, x_test, y_test, classes``; the vectors as `benchmarks.longtail` takes them. The classes
are dealt into ten sets. Each of the first six is left out in turn: all methods train on the rows of
the other classes, see the vectors of all, and are asked about every test row. Preparation, loss and
head are those of `benchmarks.longtail`, the kernel head but for `real rows only`. Closed-form rivals
put Gaussians of the shared covariance around means shrunk as GeLDA's are; the vectors of meaning are all that tells
where a class left out lies. Shuffled vectors deal them anew among all classes.

Recall on classes left out can be bought with a lower threshold. So H, the harmonic mean of seen and
unseen recall, is told after one bias on the ten; another bias serves the accuracy over all classes.
Both, and the estimate behind GeLDA's means, are chosen for each method on the other four sets and
on training rows alone, a fifth of them set aside: no test row and no class that reports has a say.

A seed repeats generator and draws. Cost of 5 seeds on one free core: about 15 minutes. Expect H of 42
to 45 for all that use the vectors, the kernel head on real rows among them, and around 10 without.
"""

import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.face import Face
from benchmarks.figures import Estimate, forest
from benchmarks.left_out import Biases, Labels, Report, Said, Task, biased, choose_biases, tasks
from benchmarks.left_out_arms import ESTIMATES, WORDS, Known, LeftOut, Trial
from benchmarks.longtail import spec_of
from benchmarks.longtail_data import LongTail, class_vectors
from models.evaluation.interval import Interval
from models.planning.spec import PlanSpec

STEPS, PER_CLASS = 300, 40
QUICK_STEPS = 5
TARGET_H = 40.0
WORTH = 0.3
"""Points of accuracy over all classes that may be lost."""

COLUMNS = ("H", "seen", "unseen", "accuracy", "uncalibrated")


def main() -> int:
    face = Face(__doc__, seeds=5)
    face.parser.add_argument(
        "--vectors", required=True, help="FILE.npz:ARRAY[,ARRAY] with class vectors, and `classes`"
    )
    arguments = face.parse(data=1)
    choosing, reporting = tasks(LongTail.read(arguments.data[0]))
    if arguments.quick:
        choosing, reporting = choosing[:1], reporting[:2]
    with tempfile.TemporaryDirectory() as scratch:
        known = known_of(arguments, Path(scratch))
        estimate, biases, tried = choose(face, known, choosing)
        said = report(face, known, reporting, estimate, biases, arguments.seeds)
    told = Report(known.data.dataset.y[reporting[0].held], [task.out for task in reporting])
    figures = show(face, told, said, estimate)
    values = figures["gelda"]
    face.finish(
        {
            "rows": figures,
            "estimate": estimate,
            "chosen_among": tried,
            "biases": {arm: vars(found) for arm, found in biases.items()},
            "seeds": arguments.seeds,
            "reached": {
                "H": values["H"] >= TARGET_H,
                "accuracy": values["accuracy"] >= figures["real"]["accuracy"] - WORTH,
                **{arm: figures[arm]["standing"] for arm in figures if arm != "gelda"},
            },
        }
    )
    return 0


def known_of(arguments: Namespace, scratch: Path) -> Known:
    """Return data, sets of vectors and spec."""
    data = LongTail.read(arguments.data[0])
    file, _, names = arguments.vectors.partition(":")
    classes = data.arrays["classes"]
    sets = [class_vectors(f"{file}:{name}", classes) for name in (names or "vectors").split(",")]
    spec, _ = spec_of(data, arguments.quick)
    steps = QUICK_STEPS if arguments.quick else STEPS
    update = {
        "objective": spec.objective.model_copy(update={"steps": steps}),
        "plan": PlanSpec(per_class=PER_CLASS),
    }
    return Known(data, sets, spec.model_copy(update=update), scratch)


def choose(
    face: Face, known: Known, choosing: Sequence[Task]
) -> tuple[str, dict[str, Biases], dict[str, float]]:
    """Return GeLDA's estimate, every arm's biases, and the H of each estimate, percent."""
    others = [arm for arm in WORDS if arm != "gelda"]
    found: dict[tuple[str, str], list[tuple[npt.NDArray[np.float32], Labels, Task]]] = {}
    for number, task in enumerate(choosing):
        face.begin(f"choosing {number + 1} of {len(choosing)}")
        left_out = LeftOut(known, task)
        trial, y = Trial(left_out, seed=0), left_out.held_y
        for estimate in ESTIMATES:
            logits = trial.logits("gelda", estimate)
            found.setdefault(("gelda", estimate), []).append((logits, y, task))
        for arm in others:
            found.setdefault((arm, ""), []).append((trial.logits(arm), y, task))
    biases = {key: choose_biases(given) for key, given in found.items()}
    tried = {one: round(100 * biases["gelda", one].h, 2) for one in ESTIMATES}
    best = max(tried, key=tried.__getitem__)
    chosen = {arm: biases[arm, ""] for arm in others}
    return best, {"gelda": biases["gelda", best], **chosen}, tried


def report(
    face: Face,
    known: Known,
    reporting: Sequence[Task],
    estimate: str,
    biases: Mapping[str, Biases],
    seeds: int,
) -> dict[str, Said]:
    """Return what every arm says of the test rows."""
    said: dict[str, list[list[list[Labels]]]] = {arm: [] for arm in WORDS}
    for number, task in enumerate(reporting):
        for arm in WORDS:
            said[arm].append([])
        left_out = LeftOut(known, task)
        for seed in range(seeds):
            face.begin(f"left out {number + 1} of {len(reporting)}, seed {seed}")
            trial = Trial(left_out, seed)
            for arm in WORDS:
                logits = trial.logits(arm, estimate)
                bias = biases[arm]
                said[arm][-1].append(
                    [biased(logits, task.out, b) for b in (0.0, bias.harmonic, bias.accuracy)]
                )
    arrays = {arm: np.moveaxis(np.array(found), 2, 0) for arm, found in said.items()}
    return {arm: Said(raw, h, accuracy) for arm, (raw, h, accuracy) in arrays.items()}


def show(
    face: Face, told: Report, said: Mapping[str, Said], estimate: str
) -> dict[str, dict[str, Any]]:
    """Print the table, draw the figure; return everything as JSON."""
    figures: dict[str, dict[str, Any]] = {}
    for arm, given in said.items():
        figures[arm] = {"label": WORDS[arm], **told.values(given)}
        if arm != "gelda":
            lead = told.lead(said["gelda"], given)
            accuracy = told.accuracy_lead(said["gelda"], given)
            figures[arm] |= {
                "lead": _points(lead),
                "standing": lead.standing,
                "accuracy_lead": _points(accuracy),
            }
    face.say(f"estimate behind GeLDA: {estimate}")
    rows = [
        (f["label"], *(f"{f[c]:.2f}" for c in COLUMNS), _lead(f, "lead"), _lead(f, "accuracy_lead"))
        for f in figures.values()
    ]
    face.table(("method", *COLUMNS, "GeLDA minus it, H [95 %]", "accuracy [95 %]"), rows)
    leads = [(f["label"], Estimate(*f["lead"])) for f in figures.values() if "lead" in f]
    title = "Ten classes left out: H after calibration"
    face.figure(
        "unseen-classes", lambda: forest(leads, x_label="GeLDA minus it, points of H", title=title)
    )
    return figures


def _points(found: Interval) -> list[float]:
    return [round(100 * value, 2) for value in (found.mean, found.low, found.high)]


def _lead(figures: Mapping[str, Any], name: str) -> str:
    if name not in figures:
        return ""
    mean, low, high = figures[name]
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    sys.exit(main())

"""GeLDA on a long tail, beside every rival with the same preparation and head.

    python -m benchmarks.longtail --data cifar100_lt100_mobilenetv2.npz \
        --vectors cifar100_class_vectors.npz:unit_sphere,glove [--scarce 2]
    python -m benchmarks.longtail --data cifar100_lt100_resnet32.npz \
        --vectors cifar100_class_vectors.npz:unit_sphere,glove --choose half

Data: npz with ``x, y, x_test, y_test, classes`` and optionally ``head_weight, head_bias``, the head
that came with the latents: then every arm's head is anchored at it. ``--choose train`` sets each fifth of
the training rows aside in turn, lets them choose every arm's settings, and trains again on all rows
with what was chosen; all test rows report. ``--choose half`` lets one half of the test rows choose and the
other report, both ways round: for networks that know their training rows by heart. ``--scarce N``
cuts the few classes (below 20 rows) to N rows, others in each seed, and chooses nothing: the settings
stand beforehand.

A seed trains generator and heads anew; what is chosen is chosen once. It is what a `gelda` job does,
in one process (`models.study`). Cost on 2 cores, one thread: about 2 minutes a seed.
"""

import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.comparison import Comparison, pooled
from benchmarks.face import Face
from benchmarks.longtail_data import LongTail, class_vectors
from models.classifiers.spec import HeadSpec, UploadedHead
from models.evaluation.arms import GELDA, LABELS, REAL, REDRAWN
from models.evaluation.choosing import Validation, adding, axes_of, starting_setting
from models.evaluation.metrics import shot_groups
from models.evaluation.rivals import applicable, trains
from models.evaluation.settings import Choice, Setting, search
from models.evaluation.spec import LATENT_CONTROLS, EvaluateSpec
from models.evaluation.trainer import Trainer
from models.front.spec import PreparationSpec
from models.gelda.spec import DenoiserSpec, GeldaSpec, LatentSpec, ObjectiveSpec
from models.planning.spec import PlanSpec
from models.study.rivals import Semantics
from models.study.study import Study

Labels = npt.NDArray[np.int64]

NO_ID = "0" * 32
QUICK_STEPS = 100
POST_RELU = PreparationSpec(transform="sqrt", components=256, normalise=True)
AS_IT_IS = PreparationSpec(standardise=False)

TEMPERATURES = (1.0, 1.5)
"""Candidates; beyond them nothing was gained on any set here."""


def spec_of(data: LongTail, quick: bool = False) -> tuple[GeldaSpec, EvaluateSpec]:
    """Return the settings of both tables; what is a candidate in them is chosen by validation.

    Latents of a network that knows its training rows by heart are tighter than new ones, and their
    means lie too far out: there means are shrunk fourteen-fold, and the variance is raised.
    """
    anchored = "head_weight" in data.arrays
    head = HeadSpec(
        head="kernel",
        loss="logit_adjusted",
        adjustment=0.9 if anchored else 1.25,
        weight_decay=2e-2 if anchored else 4e-3,
        synthetic_weight=0.5 if anchored else 0.2,
        initial=UploadedHead(upload=f"up_{NO_ID}") if anchored else None,
    )
    spec = GeldaSpec(
        dataset=f"ds_{NO_ID}",
        preparation=(AS_IT_IS if anchored else POST_RELU,),
        latents=LatentSpec(shrinkage=14.0 if anchored else 0.8, estimate="similar"),
        denoiser=DenoiserSpec(width=256, blocks=2, dropout=0.15),
        objective=ObjectiveSpec(steps=QUICK_STEPS if quick else 1000),
        plan=PlanSpec(per_class=120),
        classifier=head,
    )
    evaluation = EvaluateSpec(
        seeds=1,
        temperatures=(4.0, 3.0) if anchored else TEMPERATURES,
        shares=(1.0,),
        penalties=(1.0, 0.5, 2.0),
        adjustments=(0.9, 1.0) if anchored else (1.25, 1.0, 1.5),
        metric="balanced_accuracy",
        # What vectors are worth is measured where the latents are honest: three trainings for one.
        controls=tuple(c for c in LATENT_CONTROLS if not (anchored and c in REDRAWN)),
    )
    return spec, evaluation


def main() -> int:
    face = Face(__doc__, seeds=5)
    face.parser.add_argument(
        "--vectors", required=True, help="FILE.npz:ARRAY[,ARRAY] with class vectors, and `classes`"
    )
    face.parser.add_argument("--choose", choices=("train", "half"), default="train")
    face.parser.add_argument(
        "--scarce", type=int, metavar="N", help="rows to leave of each few class"
    )
    arguments = face.parse(data=1)
    data = LongTail.read(arguments.data[0], arguments.scarce)
    ways = _ways(data, arguments)
    found = [_one_way(face, arguments, data, *way) for way in ways]
    # Both ways round, each test row is reported on once: by the half that did not choose with it.
    y = np.concatenate([way.y for way, _ in found])
    predictions = {
        name: np.concatenate([way.predictions[name] for way, _ in found], axis=1)
        for name in found[0][0].predictions
    }
    uncut = LongTail.read(arguments.data[0])
    comparison = Comparison(y, predictions, shot_groups(uncut.counts), words=LABELS | OWN)
    name = f"longtail-{arguments.data[0].stem}" + ("-scarce" if arguments.scarce else "")
    title = f"{len(data.arrays['x']):,} rows, {len(data.counts)} classes, {arguments.seeds} seeds"
    figures = comparison.show(face, title, name)
    choices = [choice for _, choice in found]
    face.finish({"rows": figures, "choices": choices, "seeds": arguments.seeds})
    return 0


@dataclass(frozen=True)
class Way:
    """What methods said about the rows that report."""

    y: Labels
    predictions: Mapping[str, Labels]


def _ways(data: LongTail, arguments: Namespace) -> list[tuple[list[Labels], Labels, bool]]:
    """Return sets of rows that choose, rows that report, and whether the choosing rows are training
    rows, which train again afterwards.
    """
    if arguments.scarce is not None:
        return [([], data.test_rows, True)]
    if arguments.choose == "train":
        folds = data.folds(seed=0)
        return [(folds[:1] if arguments.quick else folds, data.test_rows, True)]
    first, second = data.halves(seed=0)
    return [([first], second, False), ([second], first, False)]


def _one_way(
    face: Face,
    arguments: Namespace,
    data: LongTail,
    choosing: list[Labels],
    reporting: Labels,
    again: bool,
) -> tuple[Way, dict[str, Any]]:
    spec, evaluation = spec_of(data, arguments.quick)
    vectors = class_vectors(arguments.vectors, data.arrays["classes"])
    initial = None
    if "head_weight" in data.arrays:
        initial = data.arrays["head_weight"], data.arrays["head_bias"]
    nothing = np.empty(0, np.int64)
    said = []
    with tempfile.TemporaryDirectory() as scratch:

        def study(data: LongTail, split: npt.NDArray[np.int8], seed: int) -> Study:
            return Study(
                data.dataset, split, spec, evaluation, Semantics(vectors), seed, Path(scratch),
                initial=initial, say=face.begin,
            )  # fmt: skip

        choice = first_candidates(spec, evaluation)
        if choosing:
            face.say(f"choosing on {len(choosing)} part{'s' * (len(choosing) > 1)}")
            parts = [study(data, data.split(rows, nothing), 0) for rows in choosing]
            choice = chosen_on([part.validation() for part in parts], choice, spec, evaluation)
        for seed in range(arguments.seeds):
            face.say(f"seed {seed}")
            held = nothing if again else choosing[0]
            cut = LongTail.read(arguments.data[0], arguments.scarce, seed)
            at = study(cut, cut.split(held, reporting), seed)
            result = at.measure(choice)
            said.append({name: arm.predictions for name, arm in result.arms.items()})
            if arguments.scarce is not None:
                said[-1] |= _shifted(at, choice)
    way = Way(data.dataset.y[reporting], pooled(said) | _own_heads(data, reporting))
    return way, {arm: asdict(choice.of(arm)) for arm in said[0] if arm in choice.settings}


def chosen_on(
    parts: Sequence[Validation], first: Choice, spec: GeldaSpec, evaluation: EvaluateSpec
) -> Choice:
    """Return the settings that do best on average over the parts, for every arm that trains heads."""
    data = parts[0].levels[0].data
    arms = [REAL, GELDA.name, *filter(trains, applicable(data, spec.classifier, evaluation))]

    def score(arm: str, setting: Setting) -> float:
        return float(np.mean([part.score(0, arm, setting) for part in parts]))

    settings = {
        arm: search(
            axes_of(arm, spec.classifier, evaluation, spec.sampler),
            partial(score, arm),
            evaluation.budget,
        )
        for arm in arms
    }
    return Choice(0, {**first.settings, **settings})


SHIFTED = ("logit_adjusted", "same_head", "smote", "gaussian_1")
"""Rivals that may, on scarce classes, take the prior out again by as much as suits the test rows."""

SHIFTS = np.linspace(-1.0, 1.5, 26)


def _shifted(study: Study, choice: Choice) -> dict[str, Labels]:
    """Return what rivals say with logits minus a · log prior, a chosen on test: more than is fair."""
    level = study.level(choice.layer)
    trainer = Trainer(level.data, study.spec.classifier, seeds=1, seed=study.seed)
    log_prior = np.log(np.maximum(level.data.train_counts, 1))
    said = {}
    for arm in SHIFTED:
        add = adding(arm, trainer, level.draw, study.plan, choice.of(arm))
        logits = trainer.fit(arm, choice.of(arm), add)[0].logits(level.data.test.x)
        each = [(logits - a * log_prior).argmax(axis=1) for a in SHIFTS]
        best = max(each, key=lambda labels: float((labels == level.data.test.y).mean()))
        said[f"{arm}_shifted"] = best[None]
    return said


def first_candidates(spec: GeldaSpec, evaluation: EvaluateSpec) -> Choice:
    """Return every arm's first candidates: settings that stand beforehand."""
    arms = (REAL, GELDA.name, *evaluation.controls)
    return Choice(
        0,
        {
            arm: starting_setting(axes_of(arm, spec.classifier, evaluation, spec.sampler))
            for arm in arms
        },
    )


OWN = {
    "own_head": "the latents' own head",
    "own_shifted": "the latents' own head, label shift",
    **{f"{arm}_shifted": f"{LABELS[arm]}, shift chosen on test" for arm in SHIFTED},
}


def _own_heads(data: LongTail, reporting: Labels) -> dict[str, Labels]:
    """Return what the head says that came with the latents, as it is and with the prior taken out."""
    if "head_weight" not in data.arrays:
        return {}
    x = data.dataset.x[reporting].astype(np.float64)
    logits = x @ data.arrays["head_weight"].T.astype(np.float64) + data.arrays["head_bias"]
    prior = np.log(data.counts / data.counts.sum())
    return {"own_head": logits.argmax(1)[None], "own_shifted": (logits - prior).argmax(1)[None]}


if __name__ == "__main__":
    sys.exit(main())

"""Where in the stack the generator should stand: Z^(l) over the blocks of an adapter.

    python -m benchmarks.layers --data cifar100_lt100_mobilenetv2.npz \
        --vectors cifar100_class_vectors.npz:unit_sphere,glove

Data: npz with ``x, y, x_test, y_test, classes``. An adapter of three blocks is trained on real rows and stopped by
a fifth of them, set aside. At each of Z^(0) … Z^(3) a generator is trained, and the blocks above it are
fine-tuned with the head, on real rows and again on real and synthetic ones; `no adapter` is Z^(0)
with the head right on it, the path of `benchmarks.longtail`, whose settings all of this shares.

Of each layer are told, in percent: *diversity*, the share of held-out rows that lie within the reach of synthetic
ones (recall, Kynkäänniemi et al. 2019) and, in dimensions, the effective rank of the synthetic rows'
covariance within classes, each beside that of real held-out rows; *relevance*, what a linear head on
real rows makes of Z^(l) on test rows; and the *gain* of synthetic rows over real ones alone.

A seed repeats adapter, generator and heads. Cost of 3 seeds on one core: about 8 minutes. Expect
synthetic rows to reach more of the real ones the higher l, relevance to fall a little, and about the
same gain everywhere.
"""

import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.face import Face
from benchmarks.figures import Estimate, lines
from benchmarks.longtail import spec_of
from benchmarks.longtail_data import LongTail, class_vectors
from models.classifiers.train import fit_head
from models.evaluation.arms import METHOD, SAME_HEAD
from models.evaluation.data import EvaluationData
from models.evaluation.interval import paired_interval
from models.evaluation.settings import Choice, Setting
from models.evaluation.trainer import Trainer, first_rows
from models.evaluation.two_samples import neighbourhoods
from models.front.spec import AdapterSpec
from models.gelda.spec import GeldaSpec, PlanSpec
from models.study.rivals import Semantics
from models.study.study import Study

Labels = npt.NDArray[np.int64]
Latents = npt.NDArray[np.floating[Any]]
Figures = dict[str, float]

BLOCKS = 3
STEPS, QUICK_STEPS = 300, 5
PER_CLASS = 60
COMPARED = 20
"""Rows a class in samples whose diversity is measured."""

BARE = "0, no adapter"
SAID = ("gelda", "real")


def main() -> int:
    face = Face(__doc__, seeds=3)
    face.parser.add_argument(
        "--vectors", required=True, help="FILE.npz:ARRAY[,ARRAY] with class vectors, and `classes`"
    )
    arguments = face.parse(data=1)
    data = LongTail.read(arguments.data[0])
    figures: list[dict[str, Figures]] = []
    said: list[dict[str, dict[str, Labels]]] = []
    for seed in range(arguments.seeds):
        found, predicted = one_seed(face, arguments, data, seed)
        figures.append(found)
        said.append(predicted)
    y = data.arrays["y_test"].astype(np.int64)
    told = {name: _pooled(y, name, figures, said) for name in figures[0]}
    show(face, told)
    face.finish({"rows": told, "blocks": BLOCKS, "steps": STEPS, "seeds": arguments.seeds})
    return 0


def spec_at(data: LongTail, quick: bool) -> tuple[GeldaSpec, Any]:
    """Return the long tail's settings with an adapter, and generators at all its layers."""
    spec, evaluation = spec_of(data, quick)
    update = {
        "adapter": AdapterSpec(blocks=BLOCKS, epochs=2) if quick else AdapterSpec(blocks=BLOCKS),
        "layer": tuple(range(BLOCKS + 1)),
        "objective": spec.objective.model_copy(update={"steps": QUICK_STEPS if quick else STEPS}),
        "plan": PlanSpec(per_class=PER_CLASS),
        "classifier": spec.classifier.model_copy(update={"epochs": 1})
        if quick
        else spec.classifier,
    }
    return spec.model_copy(update=update), evaluation.model_copy(update={"controls": ()})


def one_seed(
    face: Face, arguments: Namespace, data: LongTail, seed: int
) -> tuple[dict[str, Figures], dict[str, dict[str, Labels]]]:
    """Return, by layer, its figures and what the heads say of the test rows."""
    spec, evaluation = spec_at(data, arguments.quick)
    vectors = class_vectors(arguments.vectors, data.arrays["classes"])
    figures: dict[str, Figures] = {}
    said: dict[str, dict[str, Labels]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        study = Study(
            data.dataset, data.split(data.folds(seed=0)[0], data.test_rows), spec, evaluation,
            Semantics(vectors), seed, Path(scratch), say=face.begin,
        )  # fmt: skip
        for layer in study.prepared.layers:
            known = study.level(layer).data
            drawn, cells = study.drawn(Choice(layer))
            face.begin(f"seed {seed}: measuring at layer {layer}")
            name = str(layer)
            figures[name] = diversity(known, drawn, cells) | relevance(known, spec)
            said[name] = heads(known, spec, drawn, cells, seed)
            if layer == 0:
                bare = replace(known, blocks=())
                figures[BARE] = figures[name]
                said[BARE] = heads(bare, spec, drawn, cells, seed)
    return figures, said


def diversity(known: EvaluationData, drawn: Latents, cells: Labels) -> Figures:
    """Return recall and effective rank of synthetic rows, and of real ones in their place."""
    k = len(known.classes)
    rows = np.full(k, COMPARED)
    test = known.test
    real = first_rows(test.y, rows)
    others = np.setdiff1d(first_rows(test.y, 2 * rows), real)
    made = drawn[first_rows(cells, rows)]
    seen = [np.asarray(x, dtype=np.float64) for x in (test.x[real], made, test.x[others])]
    recall, reference = (float(neighbourhoods(seen[0], x).recall) for x in seen[1:])
    return {
        "recall": 100 * recall,
        "recall_of_real": 100 * reference,
        "rank": effective_rank(drawn, cells),
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
    """Return the accuracy on test rows of a linear head on real rows of Z^(l)."""
    plain = spec.classifier.model_copy(update={"head": "linear"})
    head = fit_head(known.train.x, known.train.y, len(known.classes), plain, 0)
    return {"probe": 100 * float((head.predict(known.test.x) == known.test.y).mean())}


def heads(
    known: EvaluationData, spec: GeldaSpec, drawn: Latents, cells: Labels, seed: int
) -> dict[str, Labels]:
    """Return what heads say that were fine-tuned, with the blocks above, with and without ``drawn``."""
    trainer = Trainer(known, spec.classifier, seeds=1, seed=seed)
    synthetic = np.asarray(drawn, dtype=np.float32), cells
    (real,) = trainer.fit(SAME_HEAD, Setting())
    (mixed,) = trainer.fit(METHOD, Setting(), synthetic)
    return {"real": real.predict(known.test.x), "gelda": mixed.predict(known.test.x)}


def _pooled(
    y: Labels,
    name: str,
    figures: Sequence[Mapping[str, Figures]],
    said: Sequence[Mapping[str, Mapping[str, Labels]]],
) -> dict[str, Any]:
    right = {arm: np.stack([one[name][arm] == y for one in said]) for arm in SAID}
    gain = paired_interval(right["gelda"], right["real"], y, metric="accuracy")
    means = {key: np.mean([one[name][key] for one in figures]) for key in figures[0][name]}
    means |= {arm: 100 * right[arm].mean() for arm in SAID}
    return {
        **{key: round(float(value), 2) for key, value in means.items()},
        "gain": [round(100 * value, 2) for value in (gain.mean, gain.low, gain.high)],
        "standing": gain.standing,
        "by_seed": {arm: [round(100 * float(r.mean()), 2) for r in right[arm]] for arm in SAID},
    }


def show(face: Face, told: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the table and draw the figures."""
    columns = ("recall", "recall_of_real", "rank", "rank_of_real", "probe", "real", "gelda")
    rows = []
    for name, found in told.items():
        mean, low, high = found["gain"]
        gain = f"{mean:+.2f} [{low:+.2f}, {high:+.2f}] {found['standing']}"
        rows.append((name, *(f"{found[column]:.2f}" for column in columns), gain))
    face.table(("layer", *columns, "gain [95 %]"), sorted(rows))
    draw(face, {float(name): found for name, found in told.items() if name != BARE})


def draw(face: Face, told: Mapping[float, Mapping[str, Any]]) -> None:
    """Draw what the latents of each layer are like, and what is gained there."""
    x_label = "l: blocks of the adapter below the generator"
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
        "layers",
        lambda: lines(series, x_label=x_label, y_label=y_label, title="What Z^(l) holds"),
    )
    gain = {"GeLDA": [(layer, Estimate(*found["gain"])) for layer, found in told.items()]}
    face.figure(
        "layers-gain",
        lambda: lines(
            gain,
            x_label=x_label,
            y_label="points over real rows alone",
            title="What is gained at Z^(l), fine-tuned above it",
        ),
    )


if __name__ == "__main__":
    sys.exit(main())

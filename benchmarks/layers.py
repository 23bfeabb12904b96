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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.face import Face
from benchmarks.layer_worth import (
    GELDA,
    REAL,
    Figures,
    Labels,
    Shown,
    diversity,
    heads,
    pooled,
    relevance,
)
from benchmarks.longtail import spec_of
from benchmarks.longtail_data import LongTail, class_vectors
from models.evaluation.settings import Choice
from models.front.spec import AdapterSpec
from models.gelda.spec import GeldaSpec
from models.planning.spec import PlanSpec
from models.study.rivals import Semantics
from models.study.study import Study

BLOCKS = 3
STEPS, QUICK_STEPS = 300, 5
PER_CLASS = 60

BARE = "0, no adapter"
SHOWN = Shown(
    "layers",
    x_label="l: blocks of the adapter below the generator",
    holds="What Z^(l) holds",
    gained="What is gained at Z^(l), fine-tuned above it",
)


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
    told = {
        name: pooled(y, [one[name] for one in figures], [one[name] for one in said])
        for name in figures[0]
    }
    SHOWN.table(face, dict(sorted(told.items())))
    SHOWN.draw(face, {float(name): found for name, found in told.items() if name != BARE})
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
            added = {REAL: None, GELDA: (drawn, cells)}
            said[name] = heads(known, spec, added, seed)
            if layer == 0:
                bare = replace(known, blocks=())
                figures[BARE] = figures[name]
                said[BARE] = heads(bare, spec, added, seed)
    return figures, said


if __name__ == "__main__":
    sys.exit(main())

"""What the condition is worth: a scarce long tail under vectors of several sources, and κ on and off.

    python -m benchmarks.conditioning --data cifar100_lt100_mobilenetv2.npz \
        --vectors cifar100_class_vectors.npz:unit_sphere cifar100_class_vectors.npz:glove \
        [--cells pacs_mobilenetv2.npz]

Data: npz with ``x, y, x_test, y_test, classes``; the few classes (below 20 rows) are cut to 2 rows, others in each seed. Preparation,
loss and generator are those of `benchmarks.longtail`, with fewer steps and rows; nothing is chosen. Only
the class vectors differ: each array that is given, all of them side by side, these shuffled among the
classes, names through the packaged text encoder, one-hot, and learned ones. Every generator is judged by
two heads: a plain one, the same for all, so that vectors act through the generator alone; and the
kernel head, which takes the same vectors itself.

``--cells`` adds κ: npz with ``x, y, classes, domain``. Each class in each domain is left out of half the
rows in turn and drawn by a generator with subdomain vectors (means of latents, one-hot) and by one
without; told is the unweighted average recall on the other half's rows of that domain.

A seed repeats generator and draws. Cost of 3 seeds on one core: 5 minutes, and 8 more with ``--cells``.
Expect, in the few classes, all sources with meaning ahead of shuffled, one-hot and learned ones.
"""

import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.comparison import Comparison, pooled
from benchmarks.conditioned_cells import WORDS as CELL_WORDS
from benchmarks.conditioned_cells import told_without
from benchmarks.face import Face
from benchmarks.longtail import spec_of
from benchmarks.longtail_data import LongTail, class_vectors
from benchmarks.subdomain_data import SubdomainData
from models.classifiers.train import fit_head
from models.encoders.text import encode_names
from models.evaluation.metrics import shot_groups
from models.evaluation.trainer import items
from models.front import preparation
from models.front.front import Front
from models.front.preparation import transformed
from models.gelda import method
from models.gelda.spec import GeldaSpec
from models.seeds import derived_seed
from models.semantics.spec import OneHotVectors

Labels = npt.NDArray[np.int64]
Latents = npt.NDArray[np.float32]
Sources = Mapping[str, Latents | None]
"""Class vectors by source; None where they are learned."""

SCARCE = 2
STEPS, QUICK_STEPS = 400, 5
PER_CLASS = 60
ALL, ONE_HOT, LEARNED = "all", "one_hot", "learned"
WORDS = {
    ALL: "all arrays side by side",
    "text": "names, text encoder",
    "shuffled": "all arrays, shuffled",
    ONE_HOT: "one-hot",
    LEARNED: "learned",
    "real": "real rows only",
}


def main() -> int:
    face = Face(__doc__, seeds=3)
    face.parser.add_argument(
        "--vectors", nargs="+", required=True, metavar="FILE:ARRAY", help="vectors and `classes`"
    )
    face.parser.add_argument("--cells", type=Path, metavar="FILE", help="classes in domains")
    arguments = face.parse(data=1)
    measured = {
        "scarce": scarce(face, arguments),
        **({} if arguments.cells is None else {"cells": cells(face, arguments)}),
    }
    face.finish({"rows": measured, "seeds": arguments.seeds, "steps": STEPS})
    return 0


def scarce(face: Face, arguments: Namespace) -> dict[str, object]:
    """Return the figures of both heads on the scarce long tail."""
    whole = LongTail.read(arguments.data[0])
    groups = shot_groups(whole.counts)
    spec, _ = spec_of(whole, arguments.quick)
    steps = QUICK_STEPS if arguments.quick else STEPS
    spec = spec.model_copy(update={"objective": spec.objective.model_copy(update={"steps": steps})})
    said: dict[str, list[dict[str, Labels]]] = {"linear": [], "kernel": []}
    for seed in range(arguments.seeds):
        face.begin(f"seed {seed}")
        data = LongTail.read(arguments.data[0], SCARCE, seed)
        sources = sources_of(arguments.vectors, data, seed)
        for head, found in one_seed(data, spec, sources, seed, face).items():
            said[head].append(found)
    titles = {"linear": "plain head", "kernel": "kernel head of the same vectors"}
    return {
        head: Comparison(
            whole.arrays["y_test"].astype(np.int64),
            pooled(found),
            groups,
            method=ALL,
            words={**WORDS, **_names(arguments.vectors)},
        ).show(face, f"few classes of {SCARCE} rows, {titles[head]}", f"conditioning-{head}")
        for head, found in said.items()
    }


def sources_of(given: Sequence[str], data: LongTail, seed: int) -> Sources:
    """Return vectors by source, all of length 1."""
    classes = data.arrays["classes"]
    arrays = {_name(option): class_vectors(option, classes) for option in given}
    joined = np.concatenate(list(arrays.values()), axis=1) / len(arrays) ** 0.5
    together: Latents = joined.astype(np.float32)
    order = np.random.default_rng(derived_seed("shuffle", seed)).permutation(len(classes))
    names = [str(name).replace("_", " ") for name in classes]
    return {
        ALL: together,
        **(arrays if len(arrays) > 1 else {}),
        "text": np.asarray(encode_names(names), dtype=np.float32),
        "shuffled": together[order],
        ONE_HOT: np.eye(len(classes), dtype=np.float32),
        LEARNED: None,
    }


def one_seed(
    data: LongTail, spec: GeldaSpec, sources: Sources, seed: int, face: Face
) -> dict[str, dict[str, Labels]]:
    """Return by head and source what is said of the test rows."""
    x, y = data.arrays["x"], data.arrays["y"].astype(np.int64)
    classes = data.dataset.classes
    front = Front(preparation.fit(x, spec.preparation[0])).eval()
    z, z_test = transformed(front, x), transformed(front, data.arrays["x_test"])
    cells, counters = items(np.full(len(classes), PER_CLASS))
    said: dict[str, dict[str, Labels]] = {"linear": {}, "kernel": {}}

    def judge(source: str, added: Latents, vectors: Latents | None) -> None:
        labels = np.concatenate([y, cells[: len(added)]])
        rows = np.concatenate([z, added])
        related = None if vectors is None else vectors.astype(np.float64) @ vectors.T
        for kind, found in said.items():
            head = spec.classifier.model_copy(update={"head": kind})
            fitted = fit_head(
                rows, labels, len(classes), head, seed, n_real=len(y), similarity=related
            )
            found[source] = fitted.predict(z_test)

    for number, (source, vectors) in enumerate(sources.items()):
        with tempfile.TemporaryDirectory() as scratch:
            generator = method.train(
                x, y, classes=classes, vectors=vectors, spec=_spec_of(source, spec),
                seed=seed, scratch=Path(scratch), front=front,
            )  # fmt: skip
        drawn = generator.sample(cells, counters, seed=seed, sampler=spec.sampler, space="latent")
        judge(source, drawn, vectors)
        face.progress(number + 1, len(sources) + 1)
    judge("real", z[:0], sources[ALL])
    return said


def cells(face: Face, arguments: Namespace) -> dict[str, object]:
    """Return the figures with κ on and off."""
    data = SubdomainData.read([arguments.cells])
    steps, most = (QUICK_STEPS, 2) if arguments.quick else (None, None)
    face.begin("cells left out")
    y, predictions, groups, left_out = told_without(
        data, arguments.seeds, steps, most, face.progress
    )
    columns = {"UAR": np.unique(y), "left-out": left_out}
    found = Comparison(
        y, predictions, columns, method="means", words=CELL_WORDS,
        groups=groups, metric="balanced_accuracy",
    )  # fmt: skip
    return dict(found.show(face, "κ on and off, cells never seen", "conditioning-cells"))


def _spec_of(source: str, spec: GeldaSpec) -> GeldaSpec:
    if source != ONE_HOT:
        return spec
    return spec.model_copy(update={"classes": OneHotVectors(source="one_hot")})


def _name(option: str) -> str:
    return option.partition(":")[2] or Path(option).stem


def _names(given: Sequence[str]) -> dict[str, str]:
    return {_name(option): _name(option) for option in given}


if __name__ == "__main__":
    sys.exit(main())

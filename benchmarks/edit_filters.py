"""ALIA's filters against the truth: what each drops of edits that were planted spoilt, and of good ones.

    python -m benchmarks.edit_filters --world FOLDER [--quick] [--seeds N] [--steps N] [--folds N]
                                      [--subject WORD] [--device NAME]

FOLDER: a small world with `world/train.zip`, `val.zip` and `extra.zip` (class folders and `metadata.csv` with
`file_name, label, class, domain`; the first biased, the others not) and `clip/`, an image-text model.

Each edit has a source in the training images, a class and a truth. 50 each are planted: *black*; *noise*; *unchanged*, the
source but for a faint grain, as no editor gives back exact bytes; *wrong class*, an image of another class and
another domain. *Good* ones are images of `val` of the right class in another domain than the source, 150 of them.

The confidence filter is tried with the classifiers that a job would train, on folds of the biased training images, and with
ones trained in the same way on `extra`; with the threshold of the label and with that of the class predicted.
Told are, for each filter alone and for filters together, the share that it drops of each kind; precision, the share of what
it drops that was planted; and recall, the share of what was planted that it drops. All are means over the seeds, each of which
draws sources, spoilt edits and folds anew.

Cost: 5 minutes on a free core for 3 seeds.
Expect: the semantic filter drops black and noise, the distance to the source what is unchanged, both next to nothing that is
good. The confidence filter drops two thirds of the wrong class, and of the good ones as many: to classifiers of biased images
most of them look mislabelled; to those of others most are surer than the mean, which is taken for unchanged.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from scipy.special import softmax

from benchmarks.face import Face
from benchmarks.few_shot import Labels
from benchmarks.figures import Estimate, grouped_bars
from benchmarks.image_world import Split, read
from models.alia import duplicates
from models.alia.filters import Decision, Decisions, Scores, class_thresholds, decide
from models.alia.semantic import ImageText, Prompts, load_image_text, prompts
from models.alia.spec import DuplicateSpec, SemanticSpec, SummariseSpec
from models.images.classifier import ImageClassifier, Images
from models.images.spec import ImageClassifierSpec
from models.images.train import fit
from models.seeds import derived_seed

GOOD, BLACK, NOISE, UNCHANGED, WRONG = "good", "black", "noise", "unchanged", "wrong class"
KINDS = (BLACK, NOISE, UNCHANGED, WRONG, GOOD)
PLANTED, QUICK_PLANTED = 50, 5
GRAIN = 2.0
"""Standard deviation of what is added to unchanged edits, in grey levels."""

DISTANCE = DuplicateSpec().distance
BIASED, UNBIASED = "biased", "unbiased"

Flags = npt.NDArray[np.bool_]
Probabilities = npt.NDArray[np.float32]
Told = dict[str, float | None]
"""Of a filter: the share that it drops of each kind, precision and recall."""


class Edits(NamedTuple):
    """Edits whose truth is known: images, classes asked for, rows of their sources, and what each is."""

    x: Images
    y: Labels
    source: Labels
    kind: npt.NDArray[np.str_]


class Judges(NamedTuple):
    """Classifiers of one set of real images, each of which has not seen one fold of it.

    Attributes:
        fold: (n,) of each image.
        accuracy: share of images that the one that has not seen them gets right.
    """

    classifiers: list[ImageClassifier]
    fold: Labels
    thresholds: npt.NDArray[np.float64]
    accuracy: float

    def probabilities(self, x: Images, fold: Labels) -> Probabilities:
        """Return float32 (n, K) for images by the classifier of each one's fold."""
        found = np.empty((len(x), self.classifiers[0].n_classes), dtype=np.float32)
        for number, classifier in enumerate(self.classifiers):
            found[fold == number] = softmax(classifier.logits(x[fold == number]), axis=1)
        return found


def plant(train: Split, val: Split, planted: int, seed: int) -> Edits:
    """Return ``planted`` edits of each spoilt kind, and good ones of the images of `val` that are left."""
    rng = np.random.default_rng(derived_seed("plant", seed))
    order = rng.permutation(len(val.y))
    wrong, good = order[:planted], order[planted:]
    asked = (val.y[wrong] + rng.integers(1, len(val.classes), planted)) % len(val.classes)
    plain = rng.integers(0, len(train.y), (3, planted))
    grain = rng.normal(0, GRAIN, (planted, *train.x.shape[1:]))
    shape = (planted, *train.x.shape[1:])
    images = {
        BLACK: np.zeros(shape, dtype=np.uint8),
        NOISE: rng.integers(0, 256, shape, dtype=np.uint8),
        UNCHANGED: np.rint(train.x[plain[2]] + grain).clip(0, 255).astype(np.uint8),
        WRONG: val.x[wrong],
        GOOD: val.x[good],
    }
    sources = dict(zip((BLACK, NOISE, UNCHANGED), plain, strict=True))
    sources[WRONG] = _elsewhere(train, asked, val.domain[wrong], rng)
    sources[GOOD] = _elsewhere(train, val.y[good], val.domain[good], rng)
    source = np.concatenate([sources[kind] for kind in KINDS])
    kinds = np.repeat(KINDS, [len(images[kind]) for kind in KINDS])
    return Edits(np.concatenate([images[kind] for kind in KINDS]), train.y[source], source, kinds)


def _elsewhere(train: Split, y: Labels, domain: Labels, rng: np.random.Generator) -> Labels:
    """Return rows of training images of these classes, of other domains than these."""
    rows = [
        rng.choice(np.flatnonzero((train.y == label) & (train.domain != own)))
        for label, own in zip(y, domain, strict=True)
    ]
    return np.array(rows, dtype=np.int64)


def judges(split: Split, given: Namespace, seed: int, face: Face) -> Judges:
    """Return classifiers that are each trained on all folds but one."""
    rng = np.random.default_rng(derived_seed("folds", seed))
    fold = rng.permutation(len(split.y)) % given.folds
    small = {"width": 4} if given.quick else {}
    spec = ImageClassifierSpec(steps=given.steps, flip=False, **small)

    def trained(number: int) -> ImageClassifier:
        face.begin(f"seed {seed}: fold {number + 1} of {given.folds}, {len(split.y)} images")
        rest = fold != number
        return fit(
            split.x[rest], split.y[rest], len(split.classes), spec, derived_seed("fold", seed, number),
            device=given.device, on_progress=lambda step, steps, _loss: face.progress(step, steps),
        )  # fmt: skip

    found = Judges([trained(number) for number in range(given.folds)], fold, np.empty(0), 0.0)
    p = found.probabilities(split.x, fold)
    accuracy = float((p.argmax(axis=1) == split.y).mean())
    return found._replace(thresholds=class_thresholds(p, split.y), accuracy=accuracy)


def drops(
    edits: Edits, train: Split, clip: ImageText, asked: Prompts, by: Mapping[str, Judges]
) -> dict[str, Flags]:
    """Return which edits each filter drops, alone and together."""
    margin = asked.margin(clip.probabilities(list(edits.x), asked.all))
    small = duplicates.small(list(edits.x))
    apart = duplicates.distance(small, duplicates.small(list(train.x[edits.source])))
    black = edits.x.max(axis=(1, 2, 3)) == 0
    no_black = np.zeros(len(black), dtype=np.bool_)
    twins = duplicates.twins(small, DISTANCE)
    # A black edit never comes to the other filters: each of them is tried as if it did.
    plain = Scores(edits.y, no_black, margin, None, apart, twins[~black[twins].any(axis=1)])
    found = {
        "black": black,
        "semantic": _dropped(decide(plain, ["semantic"])),
        "duplicate": _dropped(decide(plain, ["duplicate"], distance=DISTANCE)),
    }
    for name, judge in by.items():
        # Only training images have been seen by anyone: of others it does not matter whose fold they are.
        fold = judge.fold[edits.source] if name == BIASED else edits.source % len(judge.classifiers)
        sure = Scores(edits.y, no_black, confidence=judge.probabilities(edits.x, fold))
        decided = decide(sure, ["confidence"], judge.thresholds)
        found[f"confidence, {name}"] = _dropped(decided)
        found[f"unchanged, {name}"] = _dropped(decided, "unchanged")
        found[f"mislabelled, {name}"] = _dropped(decided, "mislabelled")
        by_prediction = decide(sure, ["confidence"], judge.thresholds, "prediction")
        found[f"by prediction, {name}"] = _dropped(by_prediction)
    alone = found["black"] | found["semantic"] | found["duplicate"]
    found["all but confidence"] = alone
    return found | {f"all, {name}": alone | found[f"confidence, {name}"] for name in by}


def _dropped(decisions: Decisions, kind: Decision | None = None) -> Flags:
    return np.asarray(decisions != "kept" if kind is None else decisions == kind, dtype=np.bool_)


def judged(dropped: Flags, kind: npt.NDArray[np.str_]) -> Told:
    """Return the share dropped of each kind, precision and recall; no precision where nothing is dropped."""
    spoilt = kind != GOOD
    found: Told = {name: float(dropped[kind == name].mean()) for name in KINDS}
    found["precision"] = float(spoilt[dropped].mean()) if dropped.any() else None
    found["recall"] = float(dropped[spoilt].mean())
    return found


def measure(given: Namespace, face: Face) -> tuple[dict[str, list[Told]], list[dict[str, float]]]:
    """Return what each filter did in each seed, and how good the classifiers of each were."""
    train, val, extra = (read(given.world, name) for name in ("train", "val", "extra"))
    clip = load_image_text(given.world / "clip", "clip", "--world", given.device)
    asked = prompts(SemanticSpec(), given.subject, SummariseSpec().prefix, train.classes)
    told: dict[str, list[Told]] = {}
    accuracies = []
    for seed in range(given.seeds):
        sets = {BIASED: train, UNBIASED: extra}
        by = {name: judges(split, given, seed, face) for name, split in sets.items()}
        edits = plant(train, val, QUICK_PLANTED if given.quick else PLANTED, seed)
        face.begin(f"seed {seed}: filters on {len(edits.y)} edits")
        for name, dropped in drops(edits, train, clip, asked, by).items():
            told.setdefault(name, []).append(judged(dropped, edits.kind))
        accuracies.append({name: judge.accuracy for name, judge in by.items()})
    return told, accuracies


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of what is known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def bars(told: Mapping[str, Sequence[Told]]) -> Callable[[], Figure]:
    """Return what draws the shares dropped, by kind."""
    shown = ["semantic", "duplicate", f"confidence, {BIASED}", f"confidence, {UNBIASED}"]

    def estimate(name: str, kind: str) -> Estimate:
        return Estimate.over([100 * (each[kind] or 0.0) for each in told[name]])

    series = {name: [estimate(name, kind) for kind in KINDS] for name in shown}
    return lambda: grouped_bars(KINDS, series, y_label="dropped, %")


def main() -> None:
    face = Face(__doc__, seeds=3)
    add = face.parser.add_argument
    add("--world", type=Path, required=True, metavar="FOLDER", help="as described above")
    add("--steps", type=int, default=600, metavar="N", help="of a fold's training (600)")
    add("--folds", type=int, default=3, metavar="N", help="of each set of real images (3)")
    add("--subject", metavar="WORD", help="what the classes are kinds of (default: any class)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = face.parse()
    if given.quick:
        given.steps, given.folds = min(given.steps, 20), 2
    torch.set_num_threads(1)  # as a worker's child has
    told, accuracies = measure(given, face)
    columns = (*KINDS, "precision", "recall")
    means = {
        name: {one: mean([each[one] for each in every]) for one in columns}
        for name, every in told.items()
    }
    face.table(
        ["filter", *columns],
        [[name, *(found[one] for one in columns)] for name, found in means.items()],
    )
    face.figure("edit_filters", bars(told))
    options = {name: getattr(given, name) for name in ("steps", "folds", "subject", "quick")}
    face.finish({
        **options, "seeds": given.seeds, "filters": means, "by_seed": told,
        "accuracy_out_of_fold": accuracies,
    })  # fmt: skip


if __name__ == "__main__":
    main()

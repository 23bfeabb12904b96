"""Reported on `test` where arms train classifiers on images: from what their classifiers said.

Training is not done here: each arm and seed is a task of its own. Every arm has the same real images, the
same number of steps and, seed by seed, the same start, so that arms are paired.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evaluation.arms import (
    ALIA,
    EXTRA_REAL,
    GLICO,
    PUBLISHED,
    REAL,
    TEXT_TO_IMAGE,
    Method,
    labels_of,
)
from models.evaluation.comparing import compared
from models.evaluation.data import EvaluationData, LabelledRows, Labels
from models.evaluation.domains import by_domain
from models.evaluation.image_settings import ImageChoice
from models.evaluation.interval import Interval, paired_interval
from models.evaluation.metrics import Metric, measure
from models.evaluation.result import Arm, HandedOut, Result
from models.evaluation.spec import ALL_CONTROLS, IMAGE_CONTROLS, EvaluateSpec
from models.images.spec import ImageClassifierSpec

Predictions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ImageArm:
    """The classifiers of one arm, a seed each, and what they say.

    Attributes:
        on_test: class numbers, `seeds n`.
        on_val: likewise, on `val`.
        spec: of the classifiers, as JSON.
        log_score: mean log-probability of the right class on `val`, mean over seeds; None without a row
            there.
        synthetic: synthetic images among all that one training showed, mean over seeds.
        label: in words, of an arm that `arms.labels_of` has not.
    """

    on_test: Predictions
    on_val: Predictions
    spec: Mapping[str, Any] = field(default_factory=dict)
    log_score: float | None = None
    synthetic: int = 0
    label: str | None = None


_USUAL: Mapping[str, Collection[str]] = {
    GLICO.name: ("cutout", "randaugment", "mixup", "cross_fade", "cross_fade_mixup", PUBLISHED),
    ALIA.name: ("randaugment", "color", "cutmix", TEXT_TO_IMAGE, EXTRA_REAL),
}
"""Controls of a method's jobs that name none: each costs as much as the method's own classifiers."""

_USUAL_OF_OTHERS = ("cutout", "randaugment", "mixup")


def applicable(
    method: Method,
    classifier: ImageClassifierSpec,
    spec: EvaluateSpec,
    *,
    further: Collection[str] = (),
) -> list[str]:
    """Return the wanted controls that differ from real images only, and that the method has.

    What the job's classifier does anyway (its `augmentation`, its `mixup`) every arm does. A spec that
    leaves `controls` as they are wants those that are usual for the method.

    Args:
        method: whose rivals.
        classifier: the job's.
        spec: with the wanted controls.
        further: of `text_to_image` and `extra_real` those that the job has images for.
    """
    pairs, unmixed = method == GLICO, not (classifier.mixup or classifier.cutmix)
    applies = {
        **{one: classifier.augmentation != one for one in ("cutout", "randaugment", "color")},
        "mixup": unmixed,
        "cutmix": unmixed,
        "cross_fade": pairs,
        "cross_fade_mixup": pairs and unmixed,
        PUBLISHED: pairs,
        TEXT_TO_IMAGE: TEXT_TO_IMAGE in further,
        EXTRA_REAL: EXTRA_REAL in further,
    }
    usual = _USUAL.get(method.name, _USUAL_OF_OTHERS)
    wanted = usual if spec.controls == ALL_CONTROLS else spec.controls
    return [n for n in spec.controls if n in IMAGE_CONTROLS and n in wanted and applies[n]]


def image_rows(
    features: npt.NDArray[np.float32],
    y: Labels,
    *,
    images: npt.NDArray[np.uint8] | None = None,
    group: Labels | None = None,
    subdomain: Labels | None = None,
) -> LabelledRows:
    """Return images as rows of their features, known by their pixels.

    Args:
        features: of a classifier that saw real images only, `n dim`.
        y: class numbers, `n`.
        images: the images themselves, `n height width 3`, by which an image that is in two parts is found.
        group: of each, where rows come in groups.
        subdomain: of each, where every image has one; `EvaluationData.subdomains` are their names.

    Raises:
        ValueError: an image without a subdomain.
    """
    if subdomain is not None and len(subdomain) and subdomain.min() < 0:
        raise ValueError(f"{int((subdomain < 0).sum())} of {len(y)} images have no subdomain")
    digests = None
    if images is not None:
        digests = [hashlib.blake2b(one.tobytes(), digest_size=8).digest() for one in images]
    return LabelledRows(features, y, group, subdomain, digests)


def measured(
    data: EvaluationData,
    arms: Mapping[str, ImageArm],
    choice: ImageChoice,
    *,
    method: Method,
    metric: Metric,
    candidates: Sequence[str] = (),
) -> Result:
    """Compare the method with every other arm, and take the classifier that is handed out.

    Args:
        data: the real images in three parts, as `image_rows`; with `subdomains` the report tells of them.
        arms: by name, in the order of the table; `real` and the method's among them.
        choice: what validation chose.
        method: whose report it is.
        metric: what the verdict is about.
        candidates: arms whose classifiers may be handed out; by default the method's and `real`.

    Raises:
        ValueError: `test` has no row; `real` or the method's arm is missing; an arm has no
            label; what arms say is of unlike numbers of seeds or rows.
    """
    _check(data, arms, method)
    labels = labels_of(method) | {name: arm.label for name, arm in arms.items() if arm.label}
    found = {
        name: Arm(name, labels[name], arm.on_test, arm.synthetic) for name, arm in arms.items()
    }
    return Result(
        method=method,
        data=data,
        metric=metric,
        seeds=len(arms[method.name].on_test),
        arms=found,
        intervals=compared(data, found, method),
        choice=choice,
        handed_out=_handed_out(data, arms, candidates or (method.name, REAL), metric),
        val_gain=_gain(data.val, arms[method.name], arms[REAL], metric),
        domains=by_domain(data, found, method),
    )


def _check(data: EvaluationData, arms: Mapping[str, ImageArm], method: Method) -> None:
    if not len(data.test.y):
        raise ValueError("there is no test row to report on")
    missing = [name for name in (REAL, method.name) if name not in arms]
    if missing:
        raise ValueError(f"the arm {missing[0]!r} is missing, found {', '.join(arms) or 'none'}")
    seeds = len(arms[method.name].on_test)
    for name, arm in arms.items():
        if arm.label is None and name not in labels_of(method):
            raise ValueError(f"the arm {name!r} has no label, and {method.label} knows none for it")
        for part, said, y in (
            ("test", arm.on_test, data.test.y),
            ("val", arm.on_val, data.val.y),
        ):
            if said.shape != (seeds, len(y)):
                raise ValueError(
                    f"predictions of {name!r} on {part} are {said.shape}, {(seeds, len(y))} is expected"
                )


def _handed_out(
    data: EvaluationData, arms: Mapping[str, ImageArm], candidates: Sequence[str], metric: Metric
) -> HandedOut:
    """Return the arm that is best on `val` and its best seed; the first candidate's without `val`."""
    val, n = data.val, len(data.classes)
    if not len(val.y):
        return HandedOut(candidates[0], arms[candidates[0]].spec, {})
    values = {
        name: [measure((said == val.y)[None], val.y, n, metric) for said in arms[name].on_val]
        for name in candidates
    }
    means = {name: float(np.mean(each)) for name, each in values.items()}
    best = max(means, key=lambda name: means[name])
    scores = {name: arms[name].log_score for name in candidates}
    told = {name: score for name, score in scores.items() if score is not None}
    return HandedOut(best, arms[best].spec, means, told, seed=int(np.argmax(values[best])))


def _gain(val: LabelledRows, method: ImageArm, real: ImageArm, metric: Metric) -> Interval | None:
    if not len(val.y):
        return None
    after, before = method.on_val == val.y, real.on_val == val.y
    return paired_interval(after, before, val.y, groups=val.group, metric=metric)

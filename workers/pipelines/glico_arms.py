"""The arms of a GLICO job: what each one's classifier is trained with, and what validation may choose."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from models.evaluation.arms import GLICO, PUBLISHED, REAL
from models.evaluation.image_settings import ImageSetting
from models.evaluation.images import applicable
from models.evaluation.spec import EvaluateSpec
from models.glico.generator import Generator, cross_fade
from models.glico.spec import GlicoSpec, InterpolationSpec
from models.images.spec import ImageClassifierSpec
from models.images.train import Source

PUBLISHED_PATH = InterpolationSpec(low=0.1, high=0.4, residuals=False)
PUBLISHED_PROBABILITY = 0.5
"""Azuri & Weinshall 2020, as their code has it."""

MIXUP, LITTLE_MIXUP = 1.0, 0.3
"""α of mixup alone (Zhang et al. 2018 on CIFAR-10), and of less of it: images of pairs are mixed already."""

CUTMIX = 1.0
"""α of CutMix (Yun et al. 2019)."""

CROSS_FADES = ("cross_fade", "cross_fade_mixup")

HANDED_OUT = (GLICO.name, REAL)
"""Arms whose classifiers may be handed out."""


def arms_of(spec: GlicoSpec, evaluate: EvaluateSpec) -> list[str]:
    """Return the arms in the order of the report; without evaluation the method alone."""
    if not evaluate.enabled:
        return [GLICO.name]
    return [REAL, GLICO.name, *applicable(GLICO, spec.classifier, evaluate)]


def candidates(arm: str, spec: GlicoSpec, evaluate: EvaluateSpec) -> Sequence[ImageSetting]:
    """Return the settings that validation looks at, the spec's own first; at most `budget`.

    They are known before any of them is tried, because tasks try them side by side: each way of mixing
    with every penalty. A rival that mixes as the method does may choose among the same ways.
    """
    ways = _ways(arm, spec.mixing.probability, spec.classifier)
    penalties = tuple(dict.fromkeys(evaluate.penalties))
    return [{**way, "penalty": penalty} for way in ways for penalty in penalties][: evaluate.budget]


def _ways(arm: str, own: float, classifier: ImageClassifierSpec) -> list[dict[str, float]]:
    """Return how an arm may mix real, synthetic and each other; α of mixup where the arm has a say in it."""
    alpha = classifier.mixup
    apart = [{"probability": own}, {"probability": 1.0}]
    mixed = [
        {"probability": own, "mixup": MIXUP},
        {"probability": PUBLISHED_PROBABILITY, "mixup": LITTLE_MIXUP},
    ]
    if arm == "mixup":
        found = [{"mixup": MIXUP}, {"mixup": LITTLE_MIXUP}]
    elif arm == "cross_fade_mixup":
        found = mixed
    elif arm == "cross_fade":
        found = apart
    elif arm == GLICO.name:
        found = [way | {"mixup": alpha} for way in apart] + (
            [] if alpha or classifier.cutmix else mixed
        )
    else:
        found = [{}]
    return [way for number, way in enumerate(found) if way not in found[:number]]


def first_setting(arm: str, spec: GlicoSpec, evaluate: EvaluateSpec) -> ImageSetting:
    """Return what stands where nothing is chosen; without evaluation the spec as it is."""
    setting = dict(candidates(arm, spec, evaluate)[0])
    return setting if evaluate.enabled else setting | {"penalty": 1.0}


def classifier_of(
    arm: str, setting: ImageSetting, spec: ImageClassifierSpec
) -> ImageClassifierSpec:
    """Return the job's classifier as an arm has it at a setting."""
    update: dict[str, object] = {
        "weight_decay": min(1.0, spec.weight_decay * float(setting["penalty"])),
    }
    if arm in ("cutout", "randaugment", "color"):
        update["augmentation"] = arm
    if arm == "cutmix":
        update["cutmix"] = CUTMIX
    if "mixup" in setting:
        update["mixup"] = setting["mixup"]
    return spec.model_copy(update=update)


def probability_of(arm: str, setting: ImageSetting) -> float:
    """Return the chance of an image of a batch to be synthetic."""
    if arm == PUBLISHED:
        return PUBLISHED_PROBABILITY
    return float(setting.get("probability", 0.0))


def generates(arm: str) -> bool:
    """Say whether an arm draws from the trained generator."""
    return arm in (GLICO.name, PUBLISHED)


def source_of(
    arm: str,
    spec: GlicoSpec,
    x: npt.NDArray[np.uint8],
    y: npt.NDArray[np.int64],
    n_classes: int,
    generator: Callable[[], Generator],
    device: str,
) -> Source | None:
    """Return where an arm's synthetic images come from; None where it has none.

    Args:
        arm: its name.
        spec: the job's.
        x: training images `n side side 3`.
        y: classes, `n`.
        n_classes: K.
        generator: loads the trained generator.
        device: where images are made.
    """
    if generates(arm):
        path = spec.interpolation if arm == GLICO.name else PUBLISHED_PATH
        return generator().source(path)
    if arm in CROSS_FADES:
        return cross_fade(x, y, n_classes, spec.interpolation, device)
    return None


def shown(arm: str, setting: ImageSetting, spec: ImageClassifierSpec) -> int:
    """Return how many synthetic images a training shows, on average over its coins."""
    return round(probability_of(arm, setting) * spec.steps * spec.batch_size)

"""The arms of an ALIA job: what each one's classifier is trained with, and what validation may choose."""

from collections.abc import Sequence

from models.alia.spec import AliaSpec
from models.evaluation.arms import ALIA, REAL
from models.evaluation.image_settings import ImageSetting
from models.evaluation.images import applicable
from models.evaluation.spec import EvaluateSpec
from models.images.spec import ImageClassifierSpec
from workers.pipelines.alia_job import MAKERS

EXTRA = "extra_real"
OPEN = (ALIA.name, MAKERS["text_to_image"], EXTRA)
"""Arms that choose a classical augmentation: what is added to real images is compared at its best."""

CUTMIX = 1.0
"""α, as Yun et al. 2019 have it."""


def arms_of(spec: AliaSpec, evaluate: EvaluateSpec) -> list[str]:
    """Return the arms in the order of the report; without evaluation the method alone."""
    if not evaluate.enabled:
        return [ALIA.name]
    given = {MAKERS["text_to_image"]: spec.text_to_image, EXTRA: spec.extra}
    further = [arm for arm, source in given.items() if source is not None]
    return [REAL, ALIA.name, *applicable(ALIA, spec.classifier, evaluate, further=further)]


def makers_of(spec: AliaSpec, evaluate: EvaluateSpec) -> tuple[str, ...]:
    """Return what makes images in a job: the editor, and text to image where it is compared with."""
    arms = arms_of(spec, evaluate)
    return tuple(maker for maker, arm in MAKERS.items() if arm in arms)


def candidates(arm: str, spec: AliaSpec, evaluate: EvaluateSpec) -> Sequence[ImageSetting]:
    """Return the settings that validation looks at, those as published first; at most `budget`.

    They are known before any of them is tried, because tasks try them side by side.
    """
    filters: list[tuple[str, ...] | None] = [*filter_sets(arm, spec)] or [None]
    augmentations = tuple(dict.fromkeys(spec.augmentations)) if arm in OPEN else (None,)
    found: list[ImageSetting] = []
    for penalty in dict.fromkeys(evaluate.penalties):
        for augmentation in augmentations:
            for names in filters:
                setting: dict[str, float | str] = {"penalty": penalty}
                setting |= {} if names is None else {"filters": "+".join(names) or "none"}
                setting |= {} if augmentation is None else {"augmentation": augmentation}
                found.append(setting)
    return found[: evaluate.budget]


def filter_sets(arm: str, spec: AliaSpec) -> list[tuple[str, ...]]:
    """Return the sets of filters that an arm may use; none for one that makes no images.

    A filter on `auto` is used or not. An image without a source cannot have changed too little, so the
    confidence filter is none of text to image's.
    """
    if arm not in MAKERS.values():
        return []
    switches = {"semantic": spec.filters.semantic.switch}
    if arm == ALIA.name:
        switches["confidence"] = spec.filters.confidence.switch
    found: list[tuple[str, ...]] = [()]
    for name, switch in switches.items():
        if switch == "on":
            found = [(*names, name) for names in found]
        elif switch == "auto":
            found = [(*names, name) for names in found] + found
    always = ("duplicate",) if spec.filters.duplicate.switch == "on" else ()
    return [(*names, *always) for names in sorted(found, key=len, reverse=True)]


def filters_of(setting: ImageSetting) -> tuple[str, ...]:
    """Return the filters of a setting."""
    named = str(setting.get("filters", "none"))
    return () if named == "none" else tuple(named.split("+"))


def first_setting(arm: str, spec: AliaSpec, evaluate: EvaluateSpec) -> ImageSetting:
    """Return what stands where nothing is chosen; without evaluation the spec as it is."""
    setting = dict(candidates(arm, spec, evaluate)[0])
    if evaluate.enabled:
        return setting
    return setting | {"penalty": 1.0, "augmentation": spec.classifier.augmentation}


def classifier_of(
    arm: str, setting: ImageSetting, spec: ImageClassifierSpec
) -> ImageClassifierSpec:
    """Return the job's classifier as an arm has it at a setting."""
    update: dict[str, object] = {
        "weight_decay": min(1.0, spec.weight_decay * float(setting["penalty"])),
    }
    if arm in ("cutout", "randaugment", "color"):
        update["augmentation"] = arm
    elif "augmentation" in setting:
        update["augmentation"] = setting["augmentation"]
    if arm == "cutmix":
        update["cutmix"] = CUTMIX
    elif arm == "mixup":
        update["mixup"] = 1.0
    return spec.model_copy(update=update)

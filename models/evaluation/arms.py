"""What reports are about, and the arms of every comparison: their names, and in words."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Method:
    """A method of augmentation, as its reports speak of it.

    Attributes:
        name: of its arm.
        label: in words.
        makes: what it adds to the real rows.
    """

    name: str
    label: str
    makes: Literal["latents", "images"]

    @property
    def edits(self) -> bool:
        """Whether what it adds are edits of training images, by a model that is not trained on them."""
        return self.name == "alia"

    @property
    def product(self) -> str:
        """What it adds, in a word."""
        return "edits" if self.edits else self.makes

    @property
    def row(self) -> str:
        """What one of the real rows is called."""
        return "row" if self.makes == "latents" else "image"

    @property
    def fitted(self) -> str:
        """What is trained on them."""
        return "head" if self.makes == "latents" else "classifier"


GELDA = Method("gelda", "GeLDA", "latents")
GLICO = Method("glico", "GLICO", "images")
ALIA = Method("alia", "ALIA", "images")

REAL = "real"
ADJUSTED, SAME_HEAD = "logit_adjusted", "same_head"
LABEL_SHIFT, NEAREST_MEAN = "label_shift", "nearest_class_mean"
ONE_HOT, SHUFFLED, NO_SUBDOMAIN = "one_hot", "shuffled_vectors", "no_subdomain"
PUBLISHED = "published"
TEXT_TO_IMAGE, EXTRA_REAL = "text_to_image", "extra_real"

LABELS = {
    REAL: "real rows only",
    GELDA.name: GELDA.label,
    ADJUSTED: "real rows only, logit-adjusted",
    SAME_HEAD: "real rows only, the same head",
    "oversampling": "random oversampling",
    "smote": "SMOTE",
    "gaussian_1": "Gaussian ×1",
    "gaussian_2": "Gaussian ×2",
    "gaussian_shrunk": "Gaussian at shrunk means",
    "cell_gaussian": "Gaussian at predicted cell means",
    "cell_transport": "real rows moved between subdomains",
    LABEL_SHIFT: "post-hoc label shift",
    NEAREST_MEAN: "nearest class mean",
    ONE_HOT: "GeLDA, one-hot vectors",
    SHUFFLED: "GeLDA, shuffled vectors",
    NO_SUBDOMAIN: "GeLDA without subdomain vectors",
}
"""Of GeLDA's comparisons."""

_IMAGE_LABELS = {
    REAL: "real images only",
    "cutout": "real images, Cutout",
    "randaugment": "real images, RandAugment",
    "color": "real images, colour jitter",
    "mixup": "real images, mixup",
    "cutmix": "real images, CutMix",
    "cross_fade": "pixel cross-fade of the same pairs",
    "cross_fade_mixup": "the same cross-fade, and mixup",
    TEXT_TO_IMAGE: "real images, text to image added",
    EXTRA_REAL: "real images, extra set added",
}

REDRAWN = (ONE_HOT, SHUFFLED, NO_SUBDOMAIN)
"""The method itself with less meaning in its vectors: not cheaper, but what they must beat."""

OWN_FORMS = (*REDRAWN, PUBLISHED)
"""The method itself in another form: told beside the verdict, never as a rival."""


def labels_of(method: Method) -> dict[str, str]:
    """Return the arms of a method's comparisons in words, by name."""
    if method.makes == "latents":
        return LABELS
    own = {method.name: method.label, PUBLISHED: f"{method.label} as published"}
    return _IMAGE_LABELS | own

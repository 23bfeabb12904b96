"""The generator again, with less meaning in its vectors: what semantics is worth is measured so."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.evaluation.arms import NO_SUBDOMAIN, ONE_HOT, SHUFFLED
from models.evaluation.data import Draw, Latents
from models.evaluation.settings import Setting
from models.gelda.spec import GeldaSpec
from models.seeds import derived_seed
from models.semantics.spec import OneHotVectors

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Semantics:
    """Vectors that stand for classes (K × m) and subdomains (S × m'); None where learned or one-hot."""

    classes: Vectors | None
    subdomains: Vectors | None = None


def rival_of(
    name: str, spec: GeldaSpec, semantics: Semantics, seed: int
) -> tuple[GeldaSpec, Semantics]:
    """Return spec and vectors of a rival that differs from the method in its vectors alone.

    Shuffled vectors are everybody else's: the same geometry, with the meaning gone. Without
    subdomain vectors rows of all subdomains are one.

    Raises:
        ValueError: there is no such rival, or it needs vectors that are not there.
    """
    if name == NO_SUBDOMAIN:
        return spec.model_copy(update={"subdomains": None}), Semantics(semantics.classes)
    if name == ONE_HOT:
        one_hot = OneHotVectors(source="one_hot")
        update = {"classes": one_hot, "subdomains": spec.subdomains and one_hot}
        return spec.model_copy(update=update), Semantics(None)
    if name != SHUFFLED or semantics.classes is None:
        raise ValueError(f"there is no rival {name!r} of these vectors")
    rng = np.random.default_rng(derived_seed("shuffle", seed))
    order = rng.permutation(len(semantics.classes))
    return spec, Semantics(semantics.classes[order], semantics.subdomains)


def without_subdomains(draw: Draw, subdomains: int) -> Draw:
    """Return the draws of a generator of classes as those of cells: each cell its own counters."""

    def drawn(
        cells: npt.NDArray[np.int64], counters: npt.NDArray[np.int64], setting: Setting
    ) -> Latents:
        labels, parts = np.divmod(cells, subdomains)
        return draw(labels, counters * subdomains + parts, setting)

    return drawn

"""Pictures of a GLICO report: samples beside their parents, and paths from image to image."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.evaluation.pictures import Picture
from models.glico.decoder import NOISE_DIM
from models.glico.generator import Generator
from models.glico.pairs import Mix
from models.glico.spec import InterpolationSpec
from models.images.grid import contact_sheet
from workers.pipelines.image_parts import ImagePart
from workers.pipelines.image_shards import Shard

CLASSES_SHOWN = 8
SAMPLES_A_CLASS = 3
PATH_PLACES = 9

_PARENTS_SHOWN = 2
_COMPARED = 512
"""Training images that are compared with a sample at once."""

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """A synthetic image and its parents, the base first."""

    image: Image
    parents: list[int]


def samples(
    shards: Iterable[Shard], classes: Sequence[str], real: ImagePart, tell: Callable[[], None]
) -> Picture | None:
    """Return a few images of some classes, each with its parents and the training image nearest to it.

    None where no image was made.
    """
    found = _first(shards)
    shown = evenly(sorted(found), CLASSES_SHOWN)
    places: list[Image | None] = []
    for label in shown:
        for number in range(SAMPLES_A_CLASS):
            if number:
                places.append(None)
            one = found[label][number] if number < len(found[label]) else None
            places += _beside(one, real)
            tell()
    if not shown:
        return None
    columns = SAMPLES_A_CLASS * (_PARENTS_SHOWN + 3) - 1
    names = [classes[label] for label in shown]
    return Picture(
        "Samples and where they are from",
        "Each group: a synthetic image, the training images that it is made of (its base first, two of "
        "them shown), and the training image of any class that is nearest to it, pixel by pixel. One class "
        "a row.",
        contact_sheet(places, columns, names=names, least=48),
    )


def _first(shards: Iterable[Shard]) -> dict[int, list[Sample]]:
    """Return the first images of each class that has any."""
    found: dict[int, list[Sample]] = {}
    for shard in shards:
        for label in np.unique(shard.cells).tolist():
            mine = found.setdefault(label, [])
            for row in np.flatnonzero(shard.cells == label)[: SAMPLES_A_CLASS - len(mine)]:
                there = shard.weights[row] > 0
                mine.append(Sample(shard.images[row], shard.parents[row][there].tolist()))
    return found


def _beside(one: Sample | None, real: ImagePart) -> list[Image | None]:
    """Return a sample, its first parents, and the nearest training image; places without one are empty."""
    if one is None:
        return [None] * (_PARENTS_SHOWN + 2)
    parents: list[Image | None] = [real.x[row] for row in one.parents[:_PARENTS_SHOWN]]
    parents += [None] * (_PARENTS_SHOWN - len(parents))
    return [one.image, *parents, real.x[nearest(one.image, real.x)]]


def nearest(image: Image, among: Image) -> int:
    """Return the number of the image with the least squared difference of pixels; of equal ones the first."""
    wanted, best, least = image.astype(np.int32), 0, np.inf
    for start in range(0, len(among), _COMPARED):
        apart = among[start : start + _COMPARED].astype(np.int32) - wanted
        distances = (apart**2).sum(axis=(1, 2, 3), dtype=np.int64)
        place = int(distances.argmin())
        if distances[place] < least:
            best, least = start + place, float(distances[place])
    return best


def paths(
    generator: Generator, spec: InterpolationSpec, real: ImagePart, tell: Callable[[], None]
) -> Picture:
    """Return paths between two training images of some classes, t from 0 to 1.

    Of a spec without a path, the sphere's is shown.
    """
    spec = spec if spec.path != "none" else spec.model_copy(update={"path": "slerp"})
    shown = evenly(np.flatnonzero(np.bincount(real.y) > 1).tolist(), CLASSES_SHOWN)
    places: list[Image] = []
    for label in shown:
        first, second = np.flatnonzero(real.y == label)[:2].tolist()
        places += [real.x[first], *path(generator, spec, first, second), real.x[second]]
        tell()
    names = [generator.classes[label] for label in shown]
    back = "" if spec.residuals else ", without what it loses of them"
    words = {"slerp": "along the sphere", "lerp": "on a straight line", "none": ""}[spec.path]
    return Picture(
        "Paths between two training images",
        f"At both ends the training images; between them the generator's images {words} from code to "
        f"code{back}, t from 0 to 1. Samples have t from {spec.low:g} to {spec.high:g}.",
        contact_sheet(places, PATH_PLACES + 2, names=names, least=48),
    )


@torch.inference_mode()
def path(
    generator: Generator, spec: InterpolationSpec, first: int, second: int
) -> npt.NDArray[np.uint8]:
    """Return images at equal steps of t from one training image to another, `PATH_PLACES side side 3`."""
    t = torch.linspace(0, 1, PATH_PLACES)
    parents = torch.tensor([[first, second]]).expand(PATH_PLACES, 2).contiguous()
    device = generator.codes.device
    mix = Mix(parents.to(device), torch.stack([1 - t, t], dim=1).to(device))
    noise = torch.zeros(PATH_PLACES, NOISE_DIM, device=device)
    whole = (generator.decode(mix, spec, noise) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(whole.permute(0, 2, 3, 1).cpu().numpy())


def evenly(values: Sequence[int], most: int) -> list[int]:
    """Return at most so many of the values, evenly among them."""
    places = np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)
    return [values[place] for place in places]

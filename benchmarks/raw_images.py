"""A folder of images, with a table that names the class and the domain of each."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.subdomain_data import Labels
from models.embeddings.dataset import EmbeddingDataset
from models.evaluation.splits import TEST, TRAIN, VAL
from models.raw.image import decode_image

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]

TABLE = "metadata.csv"
COLUMNS = ("file_name", "label", "domain")

FEW, HELD_OUT = 10, 10
"""Images of each class in the low-resource domain to train on, and those to choose by."""

DRAWN_FROM = 50
"""Images of each such class from which a seed draws them; all others report, the same in each seed."""


@dataclass(frozen=True)
class RawImages:
    """Image files with their classes and domains.

    Attributes:
        files: n of them.
        y: (n,) indices into ``classes``.
        subdomain: (n,) indices into ``subdomains``.
        classes: names, K.
        subdomains: names of the domains, S.
    """

    files: tuple[Path, ...]
    y: Labels
    subdomain: Labels
    classes: tuple[str, ...]
    subdomains: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return what the folder's metadata.csv names (Hugging Face imagefolder, with a domain)."""
        table = folder / TABLE
        if not table.is_file():
            raise SystemExit(f"{folder} has no {TABLE}, a table of {', '.join(COLUMNS)}")
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        absent = [name for name in COLUMNS if not rows or rows[0].get(name) is None]
        if absent:
            raise SystemExit(f"{table} lacks {', '.join(absent)} or has no row")
        files = tuple(folder / row["file_name"] for row in rows)
        missing = [path for path in files if not path.is_file()]
        if missing:
            raise SystemExit(f"{table} names {missing[0].relative_to(folder)}, which is not there")
        classes, y = np.unique([row["label"] for row in rows], return_inverse=True)
        subdomains, subdomain = np.unique([row["domain"] for row in rows], return_inverse=True)
        return cls(
            files,
            y.astype(np.int64),
            subdomain.astype(np.int64),
            tuple(map(str, classes)),
            tuple(map(str, subdomains)),
        )

    def __len__(self) -> int:
        return len(self.files)

    def item(self, row: int) -> bytes:
        """Return one image's bytes, as an encoder asks for them."""
        return self.files[row].read_bytes()

    def pixels(self, rows: Sequence[int] | Labels, size: int) -> Pixels:
        """Return (n, size, size, 3): the central square of each image, resized."""
        found = [_square(decode_image(self.item(int(row))), size) for row in rows]
        return np.stack([np.asarray(image) for image in found])

    def domain(self, name: str) -> int:
        """Return the number of a domain by its name."""
        if name not in self.subdomains:
            raise SystemExit(f"there is no domain {name!r}; found {', '.join(self.subdomains)}")
        return self.subdomains.index(name)

    def split(self, scarce: int, seed: int) -> npt.NDArray[np.int8]:
        """Return the split of each row, with one domain short of images.

        All images of the other domains train. Of each class of the scarce one `FEW` train and
        `HELD_OUT` choose, which ``seed`` draws from `DRAWN_FROM` that are the same in every seed;
        what is left of those takes no part (-1). All others report: images of that domain alone.
        """
        split, fixed = np.full(len(self), TRAIN, np.int8), np.random.default_rng(0)
        rng = np.random.default_rng(seed)
        for label, name in enumerate(self.classes):
            rows = fixed.permutation(np.flatnonzero((self.y == label) & (self.subdomain == scarce)))
            if len(rows) <= DRAWN_FROM:
                raise SystemExit(
                    f"{name}: {len(rows)} images in {self.subdomains[scarce]!r}; "
                    f"{DRAWN_FROM + 1} or more are needed"
                )
            split[rows] = TEST
            split[rows[:DRAWN_FROM]] = -1
            drawn = rng.permutation(rows[:DRAWN_FROM])
            split[drawn[:FEW]], split[drawn[FEW : FEW + HELD_OUT]] = TRAIN, VAL
        return split

    def dataset(self, x: Vectors) -> EmbeddingDataset:
        """Return the images' embeddings with everything that is known of them but a split."""
        return EmbeddingDataset(
            x=x,
            y=self.y,
            split=np.full(len(self), -1, np.int8),
            classes=self.classes,
            subdomain=self.subdomain,
            subdomains=self.subdomains,
        )


@dataclass(frozen=True)
class DrawnImages:
    """Images (n, height, width, 3) as an encoder asks for them: bytes, and a way back."""

    pixels: Pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def item(self, row: int) -> bytes:
        data: bytes = self.pixels[row].tobytes()
        return data

    @property
    def decode(self) -> Callable[[bytes], Image.Image]:
        height, width = self.pixels.shape[1:3]
        return lambda data: Image.frombytes("RGB", (width, height), data)


def _square(image: Image.Image, size: int) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)

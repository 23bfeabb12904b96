"""A world of small images with classes and domains, as zips of class folders and `metadata.csv`."""

import csv
import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.few_shot import Labels
from models.images.classifier import Images

TABLE, COLUMNS = "metadata.csv", ("file_name", "label", "class", "domain")


class Split(NamedTuple):
    """Images of one zip.

    Attributes:
        x: uint8 (n, side, side, 3).
        y: int64 (n,) classes.
        domain: int64 (n,) domains.
        classes: names of the classes, by number.
        domains: names of the domains, sorted: the same numbers in every split that has them all.
    """

    x: Images
    y: Labels
    domain: Labels
    classes: tuple[str, ...]
    domains: tuple[str, ...]


def read(folder: Path, name: str) -> Split:
    """Return `world/NAME.zip` of a world's folder.

    Raises:
        SystemExit: there is no such file, or it is not of that form; with what it lacks.
    """
    path = folder / "world" / f"{name}.zip"
    if not path.is_file():
        raise SystemExit(f"{folder} has no world/{name}.zip")
    with zipfile.ZipFile(path) as archive:
        if TABLE not in archive.namelist():
            raise SystemExit(f"{path} lacks {TABLE}")
        rows = list(csv.DictReader(io.StringIO(archive.read(TABLE).decode())))
        missing = [column for column in COLUMNS if not rows or column not in rows[0]]
        if missing:
            raise SystemExit(f"{path}: {TABLE} lacks {', '.join(missing)}")
        images = [_pixels(archive.read(row["file_name"])) for row in rows]
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise SystemExit(f"{path}: images must be of one size; found {sorted(shapes)}")
    named = dict(sorted({int(row["label"]): row["class"] for row in rows}.items()))
    if list(named) != list(range(len(named))):
        raise SystemExit(f"{path}: labels must be 0, 1, …; found {list(named)}")
    domains = sorted({row["domain"] for row in rows})
    return Split(
        np.stack(images),
        np.array([int(row["label"]) for row in rows]),
        np.array([domains.index(row["domain"]) for row in rows]),
        tuple(named.values()),
        tuple(domains),
    )


def _pixels(data: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

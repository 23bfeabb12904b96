"""A world of small images with classes and domains, as zips of class folders and `metadata.csv`, and its models."""

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.few_shot import Labels
from models.images.classifier import Images

TABLE, COLUMNS = "metadata.csv", ("file_name", "label", "class", "domain")

MODELS = ("captioner", "clip", "instruct", "llm", "sd")
SPLITS = ("train", "val", "test", "extra")


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


def check(folder: Path) -> None:
    """End with a sentence where a model or a split of a world is missing."""
    wanted = [folder / name for name in MODELS]
    wanted += [folder / "world" / f"{name}.zip" for name in SPLITS]
    missing = [path for path in wanted if not path.exists()]
    if missing:
        raise SystemExit(f"--world: there is no {missing[0]}")


def packed(folder: Path, path: Path, parts: Mapping[str, str], most: int | None = None) -> Path:
    """Write splits of a world as one zip, as a dataset is uploaded: with `label`, `split` and `domain`.

    Args:
        folder: of the world.
        path: of the zip; equal worlds give equal bytes.
        parts: what each split is to be called, by its name.
        most: images of each, about; None: all.
    """
    rows = [("file_name", "label", "split", "domain")]
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        for name, part in parts.items():
            with zipfile.ZipFile(folder / "world" / f"{name}.zip") as source:
                lines = list(csv.DictReader(io.StringIO(source.read(TABLE).decode())))
                for line in lines[:: max(1, len(lines) // most) if most else 1]:
                    entry = f"{name}/{line['file_name']}"
                    target.writestr(_entry(entry), source.read(line["file_name"]))
                    rows.append((entry, line["class"], part, line["domain"]))
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        target.writestr(_entry(TABLE), text.getvalue())
    return path


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _pixels(data: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

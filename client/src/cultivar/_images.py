"""A job's synthetic images on disk: taken out of their archive, whole or not at all."""

import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cultivar._exceptions import ConfigurationError, CultivarError
from cultivar._pixels import Pixels

IMAGES_NAMES: Final = ("synthetic.zip", "edits.zip")
"""Archives of class folders: GLICO's, and ALIA's."""

SHARDS_NAME: Final = "edits.tar"
"""The same edits as WebDataset."""

METADATA: Final = "metadata.jsonl"
_COPIED_BYTES: Final = 1 << 20
_BROKEN: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, FileExistsError,
)  # fmt: skip
"""What reading a damaged archive raises, one with a password, and one with a name twice."""


@dataclass(frozen=True, slots=True, repr=False)
class SyntheticImages:
    """Synthetic images in a folder, which `datasets.load_dataset("imagefolder", …)` reads as well.

    Attributes:
        folder: a folder a class, and `metadata.jsonl`.
        items: a line of `metadata.jsonl` each: `file_name`, `label`, and where the image is from.
    """

    folder: Path
    items: tuple[Mapping[str, Any], ...]

    def __repr__(self) -> str:
        return f"<SyntheticImages {len(self)} of {len(self.classes)} classes in {self.folder}>"

    def __len__(self) -> int:
        return len(self.items)

    @property
    def paths(self) -> list[Path]:
        """The file of each image."""
        return [self.folder / item["file_name"] for item in self.items]

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """The class name of each image."""
        return np.asarray([item["label"] for item in self.items], dtype=np.str_)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that there are images of, sorted."""
        return tuple(sorted({str(item["label"]) for item in self.items}))

    def to_numpy(self) -> tuple[Pixels, npt.NDArray[np.int64]]:
        """Return (x, y): uint8 n × height × width × 3, and numbers of `classes`.

        Raises:
            CultivarError: the images are of several sizes, and no array holds them.
        """
        try:
            from PIL import Image  # noqa: PLC0415 (optional)
        except ImportError as error:
            raise ConfigurationError("to_numpy() needs `pip install 'cultivar[images]'`") from error
        number = {name: i for i, name in enumerate(self.classes)}
        y = np.asarray([number[str(item["label"])] for item in self.items], dtype=np.int64)
        x: Pixels = np.empty((0, 0, 0, 3), dtype=np.uint8)
        for row, path in enumerate(self.paths):
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"), dtype=np.uint8)
            if row == 0:
                x = np.empty((len(y), *pixels.shape), dtype=np.uint8)
            if pixels.shape != x.shape[1:]:
                raise CultivarError(
                    f"{path.name} is of {pixels.shape[1]} × {pixels.shape[0]} pixels, the first image of "
                    f"{x.shape[2]} × {x.shape[1]}: read them one by one, from `paths`"
                )
            x[row] = pixels
        return x, y


def read_images(folder: Path) -> SyntheticImages:
    """Return the images of a folder that a job's archive was unpacked into.

    Raises:
        CultivarError: it has no `metadata.jsonl`, or one that names no files in the folder.
    """
    metadata = folder / METADATA
    if not metadata.is_file():
        raise CultivarError(f"{folder} holds no synthetic images: {METADATA} is missing")
    lines = metadata.read_text(encoding="utf-8").splitlines()
    items = tuple(json.loads(line) for line in lines if line)
    for number, item in enumerate(items, 1):
        if not {"file_name", "label"} <= item.keys():
            raise CultivarError(f"{metadata}, line {number}: expected file_name and label")
        _place(folder, item["file_name"])
    return SyntheticImages(folder, items)


def check_empty(folder: Path) -> None:
    """Refuse a place for images that something is in already.

    Raises:
        CultivarError: it is a file, or a folder that is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CultivarError(
            f"{folder} is not empty; images are unpacked into a folder of their own"
        )


def unpack(archive: Path, scratch: Path, folder: Path) -> SyntheticImages:
    """Unpack an archive into ``folder``, which appears whole; return its images.

    Args:
        archive: a zip of folders with images and `metadata.jsonl`.
        scratch: a folder on the disk of ``folder``.
        folder: does not exist, or is empty.

    Raises:
        CultivarError: the archive is broken, leads out of its folder, or is larger than the disk.
    """
    made = scratch / "unpacked"
    made.mkdir()
    try:
        with zipfile.ZipFile(archive) as file:
            _check_room(file, scratch)
            for entry in file.infolist():
                if not entry.is_dir():
                    _extract(file, entry, _place(made, entry.filename))
    except _BROKEN as error:
        raise CultivarError(f"{archive.name} cannot be unpacked: {error}") from error
    items = read_images(made).items
    if folder.exists():
        folder.rmdir()
    made.rename(folder)
    return SyntheticImages(folder, items)


def _check_room(file: zipfile.ZipFile, scratch: Path) -> None:
    needs = sum(entry.file_size for entry in file.infolist())
    free = shutil.disk_usage(scratch).free
    if needs > free:
        raise CultivarError(f"the images need {needs:,} bytes; {free:,} are free on the disk")


def _place(folder: Path, name: str) -> Path:
    """Return where an entry goes: never out of the folder, whatever it is called."""
    parts = PurePosixPath(name).parts
    place = folder.joinpath(*parts)
    outside = not place.resolve().is_relative_to(folder.resolve())
    if outside or not parts or ".." in parts or "\\" in name:
        raise CultivarError(f"{name!r} leads out of the folder of the images; nothing was unpacked")
    return place


def _extract(file: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with file.open(entry) as source, place.open("xb") as target:
        shutil.copyfileobj(source, target, _COPIED_BYTES)

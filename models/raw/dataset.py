"""A canonical raw dataset, mapped: opening one costs no memory but for its labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.embeddings.dataset import open_labels


@dataclass(frozen=True, slots=True)
class RawDataset:
    """Images, clips or texts as they were uploaded, each known to decode, with their labels.

    Attributes:
        modality: ``image``, ``audio`` or ``text``.
        items: their bytes one after another, memory-mapped and read-only.
        offsets: where each begins in ``items``, and the last one ends: n + 1.
        y: class of each, n, index into ``classes``; -1 where it has no label.
        split: 0 train, 1 val, 2 test, -1 unassigned, n.
        classes: names; some may have no item.
        group: items of one number are never split apart, n; None without such a column.
        subdomain: index into ``subdomains``, n; None without such a column.
    """

    modality: str
    items: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    split: npt.NDArray[np.int8]
    classes: tuple[str, ...]
    group: npt.NDArray[np.int64] | None = None
    subdomain: npt.NDArray[np.int64] | None = None
    subdomains: tuple[str, ...] = ()

    @classmethod
    def open(cls, manifest: Mapping[str, Any], files: Mapping[str, Path]) -> Self:
        """Open a dataset by its manifest and the place of each of its columns.

        Raises:
            ValueError: the files are not those of the manifest.
        """
        items = np.memmap(files["items"], np.uint8, mode="r")
        offsets = np.load(files["offsets"], allow_pickle=False)
        rows = manifest["rows"]
        if offsets.shape != (rows + 1,) or offsets[-1] != len(items):
            raise ValueError(
                f"expected {rows} items; found offsets of {offsets.shape} and {len(items)} bytes"
            )
        labels = open_labels(manifest, files)
        return cls(modality=manifest["modality"], items=items, offsets=offsets, **labels)

    def __len__(self) -> int:
        return len(self.y)

    def item(self, row: int) -> bytes:
        """Return one item's bytes; text is UTF-8."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.items[self.offsets[row] : self.offsets[row + 1]].tobytes()

"""A canonical dataset, mapped: opening one costs no memory, whatever its size."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class EmbeddingDataset:
    """Embeddings as every method takes them, labelled but for what is meant to train without.

    Attributes:
        x: n × dim, float16 or float32, memory-mapped and read-only.
        y: class of each row, n, index into ``classes``; -1 where a row has no label, which only
            rows of the splits 0 and -1 may have.
        split: 0 train, 1 val, 2 test, -1 unassigned, n.
        classes: names; some may have no row.
        group: rows of one number are never split apart, n; None without such a column.
        subdomain: index into ``subdomains``, n; None without such a column.
    """

    x: npt.NDArray[np.floating]
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
        x = np.load(files["x"], mmap_mode="r", allow_pickle=False)
        expected = (manifest["rows"], manifest["dim"])
        if x.shape != expected:
            raise ValueError(f"expected x of {expected}; found {x.shape}")
        return cls(x=x, **open_labels(manifest, files))

    def __len__(self) -> int:
        return len(self.y)

    @property
    def dim(self) -> int:
        return int(self.x.shape[1])


def open_labels(manifest: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, Any]:
    """Return what rows of every kind have, by the fields' names: labels, splits, where they belong.

    Raises:
        ValueError: a column has not the manifest's number of rows.
    """
    columns = {
        name: np.load(files[name], allow_pickle=False)
        for name in ("y", "split", "group", "subdomain")
        if name in manifest["columns"]
    }
    shapes = {name: array.shape for name, array in columns.items()}
    if any(shape != (manifest["rows"],) for shape in shapes.values()):
        raise ValueError(f"expected columns of {manifest['rows']} rows; found {shapes}")
    return {
        **columns,
        "classes": tuple(manifest["classes"]),
        "subdomains": tuple(manifest["subdomains"] or ()),
    }

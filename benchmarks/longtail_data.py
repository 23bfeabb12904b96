"""Long-tailed sets with a balanced test set, and the vectors of their classes, from npz files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.embeddings.dataset import EmbeddingDataset
from models.evaluation.metrics import FEW_BELOW
from models.evaluation.splits import TEST, TRAIN, VAL

Labels = npt.NDArray[np.int64]
Split = npt.NDArray[np.int8]

FOLDS = 5
"""Parts of the training rows, each of which is set aside once to choose settings by."""


@dataclass(frozen=True)
class LongTail:
    """A long-tailed training set and a test set.

    Attributes:
        arrays: of the npz.
    """

    arrays: Mapping[str, npt.NDArray[Any]]

    @classmethod
    def read(cls, path: Path, scarce: int | None = None, seed: int = 0) -> "LongTail":
        """Return what a file holds; ``scarce`` cuts the few classes to so many rows.

        Which rows are left is drawn by ``seed``, so that no figure rests on the luck of one draw.
        """
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        missing = [name for name in ("x", "y", "x_test", "y_test", "classes") if name not in arrays]
        if missing:
            raise SystemExit(f"{path} lacks {', '.join(missing)}; it has {', '.join(arrays)}")
        found = cls(arrays)
        if scarce is None:
            return found
        few = np.flatnonzero(found.counts < FEW_BELOW)
        rng, keep = np.random.default_rng(seed), ~np.isin(arrays["y"], few)
        for label in few:
            rows = np.flatnonzero(arrays["y"] == label)
            keep[rng.choice(rows, min(scarce, len(rows)), replace=False)] = True
        return cls(arrays | {"x": arrays["x"][keep], "y": arrays["y"][keep]})

    @property
    def counts(self) -> Labels:
        """Training rows of each class."""
        return np.bincount(self.arrays["y"], minlength=len(self.arrays["classes"]))

    @property
    def dataset(self) -> EmbeddingDataset:
        """Training rows, then test rows, with no split yet."""
        a = self.arrays
        y = np.concatenate([a["y"], a["y_test"]]).astype(np.int64)
        return EmbeddingDataset(
            x=np.concatenate([a["x"], a["x_test"]]),
            y=y,
            split=np.full(len(y), -1, np.int8),
            classes=tuple(str(name) for name in a["classes"]),
        )

    def split(self, choosing: Labels, reporting: Labels) -> Split:
        """Return the split of each row of `dataset`.

        Args:
            choosing: rows of `dataset` that choose; training rows among them do not train.
            reporting: rows that report; test rows that are neither stay out (-1).
        """
        rows = len(self.arrays["y"])
        split = np.full(rows + len(self.arrays["y_test"]), -1, np.int8)
        split[:rows] = TRAIN
        split[choosing], split[reporting] = VAL, TEST
        return split

    def folds(self, seed: int) -> list[Labels]:
        """Return the training rows in parts that hold each class alike; a class of fewer rows than
        parts is in as many of them as it has rows, and one of a single row in none.
        """
        rng, y = np.random.default_rng(seed), self.arrays["y"]
        parts: list[list[Labels]] = [[] for _ in range(FOLDS)]
        for label in np.flatnonzero(self.counts > 1):
            rows = rng.permutation(np.flatnonzero(y == label))
            first = int(rng.integers(FOLDS))
            for number in range(FOLDS):
                parts[(first + number) % FOLDS].append(rows[number::FOLDS])
        return [np.sort(np.concatenate(part)) for part in parts]

    def halves(self, seed: int) -> tuple[Labels, Labels]:
        """Return the test rows' numbers in `dataset`, cut in two class by class."""
        rng, y = np.random.default_rng(seed), self.arrays["y_test"]
        first, second = [], []
        for label in np.unique(y):
            rows = rng.permutation(np.flatnonzero(y == label)) + len(self.arrays["y"])
            first.append(rows[: len(rows) // 2])
            second.append(rows[len(rows) // 2 :])
        return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))

    @property
    def test_rows(self) -> Labels:
        """Return the numbers of all test rows in `dataset`."""
        return np.arange(len(self.arrays["y_test"])) + len(self.arrays["y"])


def class_vectors(option: str, classes: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return vectors of length 1 in the order of ``classes``, of `FILE.npz:ARRAY[,ARRAY]`.

    Several arrays are brought to length 1 one by one and set side by side.
    """
    file, _, names = option.partition(":")
    with np.load(file, allow_pickle=False) as arrays:
        wanted = [name for name in (names or "vectors").split(",") if name]
        absent = [name for name in (*wanted, "classes") if name not in arrays.files]
        if absent:
            raise SystemExit(f"{file} lacks {', '.join(absent)}; it has {', '.join(arrays.files)}")
        row = {str(name): number for number, name in enumerate(arrays["classes"])}
        unknown = [str(name) for name in classes if str(name) not in row]
        if unknown:
            raise SystemExit(f"{file} has no vector for class {unknown[0]!r}")
        order = [row[str(name)] for name in classes]
        parts = [_unit(arrays[name][order].astype(np.float64)) for name in wanted]
    joined: npt.NDArray[np.float64] = np.concatenate(parts, axis=1) / len(parts) ** 0.5
    return joined.astype(np.float32)


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float64)

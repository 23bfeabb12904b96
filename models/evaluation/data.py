"""What choosing and evaluating are given: real rows in three parts, and generators to draw from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from models.evaluation.sampling import MEASURED_ON, TRAINED_ON, sampled
from models.evaluation.settings import Setting
from models.evaluation.splits import TEST, TRAIN, VAL
from models.front.blocks import AdapterBlock
from models.front.front import Front
from models.front.preparation import transformed

Latents = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]
Counts = npt.NDArray[np.int64]


class Draw(Protocol):
    """A trained generator: (cell numbers, counters, setting) to latents Z^(l), a row each.

    Equal arguments give equal rows; of the setting, temperature and guidance matter.
    """

    def __call__(
        self, cells: npt.NDArray[np.int64], counters: npt.NDArray[np.int64], setting: Setting
    ) -> Latents: ...


@dataclass(frozen=True)
class LabelledRows:
    """Latents `n dim`, their classes `n` and, where there are any, groups and subdomains `n`.

    Attributes:
        digests: of each row what it is known by, where `x` is but derived from it (features of an image).
    """

    x: Latents
    y: Labels
    group: Labels | None = None
    subdomain: Labels | None = None
    digests: Sequence[bytes] | None = None


@dataclass(frozen=True)
class EvaluationData:
    """Real rows in three parts that share nothing, as latents Z^(l).

    Attributes:
        classes: names, K.
        subdomains: names, S; empty where nothing is conditioned on subdomains.
        similarity: K × K cosines of class vectors; None where they carry no meaning.
        blocks: the adapter's blocks above l, which every arm fine-tunes with its head.
        whole: labelled rows of a part (`train`, `val`, `test`) of which only a sample is here.
        counted: training rows of each cell, K · S, where `train` is a sample of them.
    """

    train: LabelledRows
    val: LabelledRows
    test: LabelledRows
    classes: tuple[str, ...]
    subdomains: tuple[str, ...] = ()
    similarity: npt.NDArray[np.float64] | None = None
    blocks: tuple[AdapterBlock, ...] = ()
    whole: Mapping[str, int] = field(default_factory=dict)
    counted: Counts | None = None

    @classmethod
    def of(
        cls,
        x: Latents,
        y: Labels,
        split: npt.NDArray[np.int8],
        classes: Sequence[str],
        *,
        front: Front,
        group: Labels | None = None,
        subdomain: Labels | None = None,
        subdomains: Sequence[str] = (),
        similarity: npt.NDArray[np.float64] | None = None,
        blocks: Sequence[AdapterBlock] = (),
    ) -> Self:
        """Part a dataset by its complete splits (`make_splits`).

        Rows without a label (y = -1) have no part: no head can be trained or measured on them. Of a
        part with more rows than heads can use only a sample is read (`sampling`), so that a
        memory-mapped ``x`` is never in memory as a whole.
        """
        parts = max(1, len(subdomains))
        cells = np.asarray(y) if subdomain is None or not subdomains else y * parts + subdomain
        labelled = {
            name: np.flatnonzero((split == code) & (y >= 0))
            for name, code in (("train", TRAIN), ("val", VAL), ("test", TEST))
        }
        chosen = {
            name: rows[sampled(cells[rows], TRAINED_ON if name == "train" else MEASURED_ON)]
            for name, rows in labelled.items()
        }

        def part(rows: npt.NDArray[np.int64]) -> LabelledRows:
            z = transformed(front, x[rows])
            return LabelledRows(
                z,
                np.asarray(y[rows]),
                None if group is None else np.asarray(group[rows]),
                None if subdomain is None or not subdomains else np.asarray(subdomain[rows]),
            )

        return cls(
            part(chosen["train"]),
            part(chosen["val"]),
            part(chosen["test"]),
            classes=tuple(classes),
            subdomains=tuple(subdomains),
            similarity=similarity,
            blocks=tuple(blocks),
            whole={n: len(rows) for n, rows in labelled.items() if len(chosen[n]) < len(rows)},
            counted=np.bincount(cells[labelled["train"]], minlength=len(classes) * parts),
        )

    @property
    def train_counts(self) -> Counts:
        """Training rows of each class, those that are not in `train` included."""
        by_class: Counts = self.cell_counts.reshape(-1, self.parts_a_class).sum(axis=1)
        return by_class

    @property
    def parts_a_class(self) -> int:
        """Cells of each class: S, or 1 where there are no subdomains."""
        return max(1, len(self.subdomains))

    def cells(self, rows: LabelledRows) -> Labels:
        """Return the cell number of each row: class · S + subdomain."""
        if rows.subdomain is None:
            return rows.y
        return rows.y * self.parts_a_class + rows.subdomain

    @property
    def cell_counts(self) -> Counts:
        """Training rows of each cell, K · S, those that are not in `train` included."""
        if self.counted is not None:
            return self.counted.astype(np.int64)
        cells = self.cells(self.train)
        return np.bincount(cells, minlength=len(self.classes) * self.parts_a_class).astype(np.int64)

    def unseen(self, rows: LabelledRows) -> npt.NDArray[np.bool_]:
        """Say of each row whether its cell has no training row."""
        return np.asarray(self.cell_counts[self.cells(rows)] == 0)

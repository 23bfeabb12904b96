"""One named column of an untrusted file, whatever the format it came in."""

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Kind = Literal["integer", "text", "real", "other"]
Vectors = npt.NDArray[np.floating]


class Column(Protocol):
    """Rows that can be streamed any number of times, a bounded block at a time.

    Attributes:
        name: as the file has it.
        where: what it is called in a sentence, e.g. ``array 'x' of 'birds.npz'``.
        kind: what ``values`` yields; ``other`` for what no label or name can be made of.
        rows: as declared. Reading yields that many or raises.
        description: its type and shape in words.
    """

    @property
    def name(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def rows(self) -> int: ...
    @property
    def description(self) -> str: ...

    def values(self) -> Iterator[Sequence[int | float | str | None]]:
        """Yield the rows of a one-dimensional column in blocks; None where a value is missing.

        Raises:
            InputProblem: when it is not one-dimensional, or its bytes are not what was declared.
        """


class VectorColumn(Column, Protocol):
    """A column whose rows may also be read as embeddings."""

    def dtype(self) -> np.dtype[np.floating]:
        """Return the float type in which ``vectors`` yields.

        Raises:
            InputProblem: ``embedding_dtype``, ``embedding_dim_mismatch``.
        """

    def vectors(self) -> Iterator[Vectors]:
        """Yield embeddings in native byte order: blocks of (rows, dim), dim the same for all.

        Raises:
            InputProblem: ``embedding_dim_mismatch`` with the row, or the bytes are not as declared.
        """


class Source(Protocol):
    """A file, or files read as one, with named columns."""

    @property
    def where(self) -> str: ...

    def names(self) -> list[str]:
        """Return the names of its columns, in the file's order."""

    def column(self, name: str) -> VectorColumn | None:
        """Return a column, or None where there is none of that name."""

    def class_names(self, name: str) -> list[str] | None:
        """Return the names of the classes that the file declares under ``name``, if it does."""

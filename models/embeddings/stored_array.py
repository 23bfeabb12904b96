"""A dense array in a file: a type, a shape and its bytes, already checked against each other."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from models.embeddings.column import Kind, Vectors
from models.embeddings.limits import Limits
from models.embeddings.wording import row_listing, show, size
from models.errors import InputProblem

_KINDS: dict[str, Kind] = {
    "i": "integer", "u": "integer", "b": "integer", "U": "text", "S": "text", "f": "real",
}  # fmt: skip


class Stream(Protocol):
    """The bytes of one array, in order."""

    def read(self, count: int, /) -> bytes: ...

    def close(self) -> None: ...


def check_claim(
    shape: tuple[int, ...], itemsize: int, held: int, *, where: str, param: str, limits: Limits
) -> None:
    """Hold what a header claims against the bytes that are there, before any memory is taken.

    Raises:
        InputProblem: ``array_too_large``, or ``truncated_file`` or ``bad_array`` when the bytes
            are fewer or more than claimed.
    """
    claimed = math.prod(shape) * itemsize
    words = f"{where} claims shape {show(shape)[1:-1]}, {size(claimed)}"
    # An axis of 0 hides the others from the product, yet numpy would still take them seriously.
    if claimed > limits.max_array_bytes or max(shape, default=0) > limits.max_array_bytes:
        raise InputProblem(
            "array_too_large",
            f"{words}; at most {size(limits.max_array_bytes)} are taken, and the file holds "
            f"{size(held)} for it.",
            param,
        )
    if held < claimed:
        raise InputProblem(
            "truncated_file", f"{words}, but only {size(held)} of it are in the file.", param
        )
    if held > claimed:
        raise InputProblem(
            "bad_array", f"{words}, but {size(held)} of data follow its header.", param
        )


@dataclass(frozen=True, slots=True)
class StoredArray:
    """A column of an npy, npz or safetensors file.

    Attributes:
        stored: the type in the file, in any byte order.
        open: gives a stream that stands at the first byte of the data.
        scratch: a folder for the copy that a column-major array in an archive needs.
        bfloat16: ``stored`` is ``<u2`` and holds the upper halves of float32.
    """

    name: str
    where: str
    stored: np.dtype[Any]
    shape: tuple[int, ...]
    open: Callable[[], Stream]
    limits: Limits
    scratch: Path
    fortran: bool = False
    bfloat16: bool = False

    @property
    def kind(self) -> Kind:
        return "real" if self.bfloat16 else _KINDS.get(self.stored.kind, "other")

    @property
    def rows(self) -> int:
        return self.shape[0] if self.shape else 0

    @property
    def description(self) -> str:
        name = "bfloat16" if self.bfloat16 else self.stored.name
        return f"{name} of shape {self.shape}"

    def dtype(self) -> np.dtype[np.floating]:
        """Return the native float type; integers are refused rather than guessed about."""
        if len(self.shape) != 2 or self.shape[1] == 0:
            raise InputProblem(
                "embedding_dim_mismatch",
                f"{self.where} is {self.description}; expected two dimensions, rows × values.",
                self.name,
            )
        if self.shape[1] > self.limits.max_dim:
            raise InputProblem(
                "embedding_dim_mismatch",
                f"{self.where} has {self.shape[1]:,} values a row; at most "
                f"{self.limits.max_dim:,} are taken.",
                self.name,
            )
        if self.bfloat16:
            return np.dtype(np.float32)
        if self.stored.kind != "f" or self.stored.itemsize not in (2, 4, 8):
            raise InputProblem(
                "embedding_dtype",
                f"{self.where} is {self.description}; embeddings are float16, float32 or float64. "
                "Are these labels, or pixels? If they are embeddings, store them as float32.",
                self.name,
            )
        return self.stored.newbyteorder("=")

    def vectors(self) -> Iterator[Vectors]:
        native = self.dtype()
        dim = self.shape[1]
        rows = max(1, self.limits.block_bytes // (dim * self.stored.itemsize))
        blocks = (
            self._transposed(rows) if self.fortran and self.shape[0] > 1 else self._blocks(rows)
        )
        for block in blocks:
            matrix = block.reshape(-1, dim)
            if self.bfloat16:
                yield (matrix.astype(np.uint32) << 16).view(np.float32)
            else:
                yield matrix.astype(native, copy=False)

    def values(self) -> Iterator[Sequence[int | float | str | None]]:
        if len(self.shape) != 1:
            hint = " One-hot rows? Store their argmax." if len(self.shape) == 2 else ""
            raise InputProblem(
                "bad_shape",
                f"{self.where} is {self.description}; expected one dimension, a value a row.{hint}",
                self.name,
            )
        rows = max(1, self.limits.block_bytes // max(8, self.stored.itemsize) // 8)
        first = 0
        for block in self._blocks(rows):
            if self.bfloat16:
                yield (block.astype(np.uint32) << 16).view(np.float32).tolist()
            elif self.kind == "text":
                yield self._texts(block, first)
            elif self.stored.kind == "b":
                yield block.astype(np.int64).tolist()
            else:
                yield block.tolist()
            first += len(block)

    def _blocks(self, rows: int) -> Iterator[npt.NDArray[Any]]:
        """Yield the array's elements flat, ``rows`` rows at a time."""
        width = math.prod(self.shape[1:])
        with closing(self.open()) as stream:
            for start in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - start) * width
                yield np.frombuffer(
                    self._exactly(stream, count * self.stored.itemsize), self.stored
                )

    def _exactly(self, stream: Stream, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = stream.read(count - len(data))
            if not piece:
                raise InputProblem(
                    "truncated_file",
                    f"{self.where} ends {size(count - len(data))} before its {self.description}.",
                    self.name,
                )
            data += piece
        return bytes(data)

    def _transposed(self, rows: int) -> Iterator[npt.NDArray[Any]]:
        """Yield rows of a column-major array, by way of a copy on disk: never whole in memory."""
        n, dim = self.shape
        path = self.scratch / "column-major.tmp"
        try:
            with path.open("wb") as file, closing(self.open()) as stream:
                left = n * dim * self.stored.itemsize
                while left:
                    data = self._exactly(stream, min(left, self.limits.block_bytes))
                    file.write(data)
                    left -= len(data)
            columns = np.memmap(path, self.stored, "r", shape=(dim, n))
            for start in range(0, n, rows):
                yield np.ascontiguousarray(columns[:, start : start + rows].T)
        finally:
            path.unlink(missing_ok=True)

    def _texts(self, block: npt.NDArray[Any], first: int) -> list[str]:
        """Return strings; bytes are UTF-8. What is no text in its file is named by row."""
        if self.stored.kind == "U":
            # numpy hands any 32 bits to Python as a character, and Python then raises SystemError.
            codes = block.astype(self.stored.newbyteorder("=")).view(np.uint32)
            codes = codes.reshape(len(block), -1)
            wrong = (codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))
            bad = np.flatnonzero(wrong.any(axis=1))
            if not bad.size:
                return block.tolist()  # type: ignore[no-any-return]
        else:
            texts, bad_rows = [], []
            for row, value in enumerate(block.tolist()):
                try:
                    texts.append(value.decode())
                except UnicodeDecodeError:
                    bad_rows.append(row)
            if not bad_rows:
                return texts
            bad = np.array(bad_rows)
        rows = [first + int(row) for row in bad]
        raise InputProblem(
            "bad_text",
            f"{self.where} holds what is no text, in {row_listing(rows, len(rows))}; "
            "expected Unicode, or bytes in UTF-8.",
            self.name,
        )

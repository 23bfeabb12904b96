"""Memory-mapped rows whose pages do not pile up."""

import mmap
import os
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

_KEPT_BYTES = 1 << 27
_SCATTERED_ROWS = 64
"""Rows from all over the file that are read at once: with each the kernel may map 2 MiB around it."""


def new_array(
    path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]
) -> np.memmap[Any, np.dtype[Any]]:
    """Return a new array in a file, memory-mapped, whose place on the disk is taken already.

    Raises:
        OSError: the disk is full. Without the place, the write that finds it full would kill the process.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        handle = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(handle, 0, path.stat().st_size)
        finally:
            os.close(handle)
    return array


class Mapped(np.memmap[Any, Any]):
    """Rows that are copied when they are asked for, and whose pages are then given back.

    A page that was read counts as memory of the process until the kernel wants it back, so that
    whoever reads a whole file piece by piece seems to hold all of it, and looks like the one to end
    where memory is short. Given back, it stays in the kernel's cache, and reading it again is cheap.
    """

    _read: int = 0

    @classmethod
    def of(cls, x: npt.NDArray[Any]) -> Self | npt.NDArray[Any]:
        """Return the same rows; those in memory, or of a file too small to matter, as they are."""
        return x.view(cls) if isinstance(x, np.memmap) and x.nbytes > _KEPT_BYTES else x

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, np.ndarray) and index.ndim == 1:
            return self._scattered(np.flatnonzero(index) if index.dtype == bool else index)
        part = np.array(super().__getitem__(index))
        self._read += part.nbytes
        if self._read > _KEPT_BYTES:
            self._give_back()
        return part[()]

    def _scattered(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
        out = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        for start in range(0, len(rows), _SCATTERED_ROWS):
            block = slice(start, start + _SCATTERED_ROWS)
            out[block] = super().__getitem__(rows[block])
            self._give_back()
        return out

    def _give_back(self) -> None:
        # Nothing is lost by it: what was written is in the file's cache, which is shared.
        self._read = 0
        advice = getattr(mmap, "MADV_DONTNEED", None)
        mapping = getattr(self, "_mmap", None)
        if advice is not None and mapping is not None:
            mapping.madvise(advice)

"""Memory-mapped rows whose pages do not pile up."""

import mmap
from typing import Any, Self

import numpy as np
import numpy.typing as npt

_KEPT_BYTES = 1 << 27
_AROUND_BYTES = 1 << 16
"""What the kernel maps beside a single row that is touched (its `fault_around_bytes`)."""


class Mapped(np.memmap[Any, Any]):
    """Rows that are copied when they are asked for, and whose pages are then given back.

    A page that was read counts as memory of the process until the kernel wants it back, so that
    whoever reads a whole file piece by piece seems to hold all of it, and looks like the one to end
    where memory is short. Given back, it stays in the kernel's cache, and reading it again is cheap.
    """

    _read: int = 0

    @classmethod
    def of(cls, x: npt.NDArray[Any]) -> Self | npt.NDArray[Any]:
        """Return the same rows; those that are in no mapped file as they are."""
        return x.view(cls) if isinstance(x, np.memmap) else x

    def __getitem__(self, index: Any) -> Any:
        part = np.array(super().__getitem__(index))
        single = not isinstance(index, slice)
        self._read += max(part.nbytes, _AROUND_BYTES * len(part) if single and part.ndim else 0)
        if self._read > _KEPT_BYTES:
            self._read = 0
            self._give_back()
        return part[()]

    def _give_back(self) -> None:
        # Nothing is lost by it: what was written is in the file's cache, which is shared.
        advice = getattr(mmap, "MADV_DONTNEED", None)
        mapping = getattr(self, "_mmap", None)
        if advice is not None and mapping is not None:
            mapping.madvise(advice)

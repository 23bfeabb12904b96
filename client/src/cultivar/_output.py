"""A job's synthetic rows in memory, in the form that the caller's framework wants."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from cultivar._exceptions import ConfigurationError
from cultivar._safetensors import read_safetensors

if TYPE_CHECKING:
    import torch

OUTPUT_NAMES: Final = ("synthetic.npz", "synthetic.parquet", "synthetic.safetensors")


@dataclass(frozen=True, slots=True, repr=False)
class Output:
    """Synthetic rows.

    Attributes:
        x: latents, float32, n × dim.
        y: class of each row, int64, an index into `classes`.
        classes: the classes' names, in the dataset's order.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        rows, dim = self.x.shape
        return f"<Output {rows} rows × {dim}, {len(self.classes)} classes>"

    def __len__(self) -> int:
        return len(self.y)

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """The class name of each row; for labels uploaded as numbers, those in digits."""
        return np.asarray(self.classes)[self.y]

    def to_numpy(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return (x, y); where labels were not numbered 0, 1, 2 …, `labels` has the caller's."""
        return self.x, self.y

    def to_torch(self) -> "tuple[torch.Tensor, torch.Tensor]":
        """Return (x, y) as CPU tensors, float32 and int64."""
        try:
            import torch  # noqa: PLC0415 (optional, and slow to import)
        except ImportError as error:
            raise ConfigurationError("to_torch() needs the package torch") from error
        return torch.from_numpy(self.x.copy()), torch.from_numpy(self.y.copy())

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame` with columns ``x0 … x{dim-1}`` and ``label`` (a categorical of names)."""
        try:
            import pandas as pd  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 (optional)
        except ImportError as error:
            raise ConfigurationError("to_pandas() needs `pip install cultivar[pandas]`") from error
        frame = pd.DataFrame(self.x, columns=[f"x{i}" for i in range(self.x.shape[1])])
        frame["label"] = pd.Categorical.from_codes(self.y.tolist(), categories=list(self.classes))
        return frame


def read_output(path: Path, classes: tuple[str, ...] | None = None) -> Output:
    """Read a downloaded ``synthetic.*`` file. Nothing in it is ever unpickled.

    Args:
        path: the file; its suffix says how it is written.
        classes: names for a file whose format does not carry them.
    """
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors, ".parquet": _read_parquet}
    x, y, found = readers[path.suffix](path)
    names = found or classes or tuple(str(i) for i in range(int(y.max(initial=-1)) + 1))
    return Output(x.astype(np.float32, copy=False), y.astype(np.int64, copy=False), names)


Parts = tuple[npt.NDArray[Any], npt.NDArray[Any], tuple[str, ...] | None]


def _read_npz(path: Path) -> Parts:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["x"], arrays["y"], tuple(str(name) for name in arrays["classes"])


def _read_safetensors(path: Path) -> Parts:
    tensors, metadata = read_safetensors(path)
    names = metadata.get("classes")
    return tensors["x"], tensors["y"], tuple(json.loads(names)) if names else None


def _read_parquet(path: Path) -> Parts:
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415 (optional, and slow to import)
    except ImportError as error:
        raise ConfigurationError("a Parquet output needs the package pyarrow") from error
    table = pq.read_table(path)
    dim = table.schema.field("x").type.list_size
    x = table.column("x").combine_chunks().flatten().to_numpy().reshape(-1, dim)
    y = table.column("y").to_numpy()
    metadata = table.schema.metadata or {}
    names = metadata.get(b"classes")
    return x, y, tuple(json.loads(names)) if names else None

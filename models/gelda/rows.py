"""Training rows as a generator sees them: latents Z^(l), never more than a chunk of them at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.front.front import Front

CHUNK = 8192
"""Rows read at once, so that memory-mapped embeddings never have to fit into memory."""


@dataclass(frozen=True)
class Rows:
    """Embeddings and their labels behind a front.

    Attributes:
        x: (n, dim_in) embeddings, any float type, may be memory-mapped.
        y: (n,) class indices.
        front: what makes latents of them, on the device to train on.
    """

    x: np.ndarray
    y: np.ndarray
    front: Front

    def __len__(self) -> int:
        return len(self.x)

    def latents(self, rows: np.ndarray | slice) -> Float[Tensor, "n dim"]:
        """Return Z^(l) of these rows, float32, on the front's device."""
        x = torch.from_numpy(np.array(self.x[rows], dtype=np.float32))
        z: Tensor = self.front(x.to(self.front.preparation.mean.device))
        return z

    def chunks(self) -> Iterator[tuple[Float[Tensor, "n dim"], Int[Tensor, " n"]]]:
        """Yield all latents, float64 on the CPU, with their labels, in order."""
        for start in range(0, len(self.x), CHUNK):
            part = slice(start, start + CHUNK)
            labels = torch.from_numpy(np.array(self.y[part], dtype=np.int64))
            yield self.latents(part).cpu().double(), labels

"""What was computed once and is wanted again: latents of sources, embeddings of prompts."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch


class Keeping:
    """Tensors by key, those used longest ago forgotten first.

    Attributes:
        computed: how many tensors had to be computed.
    """

    def __init__(self, most_bytes: int) -> None:
        """Keep at most this many bytes, but always the tensor asked for last."""
        self.computed = 0
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the tensor of this key, computed where it is not kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self.computed += 1
        self._kept[key] = found = compute()
        self._bytes += found.nbytes
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return found

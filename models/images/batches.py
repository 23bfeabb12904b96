"""The images of each step of a training: real ones in shuffled epochs, synthetic ones by coins."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from models.images.augment import (
    color,
    cutmix,
    cutout,
    mixup,
    randaugment,
    shift_and_flip,
)
from models.images.spec import ImageClassifierSpec
from models.seeds import derived_seed

Source = Callable[[Tensor, torch.Generator], Tensor]
"""Makes synthetic images: int64 (k,) numbers of training images on the CPU, and a generator on the CPU
for everything it draws, to float (k, 3, H, W) in [0, 1], each of the class of its training image."""


class Batch(NamedTuple):
    """What a step learns from.

    Attributes:
        images: float (batch, 3, H, W) in [0, 1].
        labels: int64 (batch,) classes, or float (batch, K) shares of them.
        seed: of what a network draws itself: dropout.
    """

    images: Tensor
    labels: Tensor
    seed: int


@dataclass
class Batches:
    """Training images, and what each step sees of them.

    All that is random about step s comes from one generator seeded by s, coins first; a source draws
    from a generator of its own, so that what follows it stays the same whatever it draws.

    Attributes:
        x: uint8 (n, H, W, 3), on the device.
        y: int64 (n,), on the device.
        n_classes: K.
        fill: (3,) mean colour in [0, 1], what Cutout paints with.
        spec: batch size, crop, flip, augmentation, mixup and cutmix.
        seed: the training's.
        source: of synthetic images; None: there are none.
        probability: of each place of a batch to be a synthetic image.
    """

    x: Tensor
    y: Tensor
    n_classes: int
    fill: Tensor
    spec: ImageClassifierSpec
    seed: int
    source: Source | None
    probability: float
    _epochs: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)

    @torch.no_grad()
    def at(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""
        generator = torch.Generator().manual_seed(derived_seed("step", self.seed, step))
        rows = self.rows(step)
        synthetic = torch.rand(len(rows), generator=generator) < self.probability
        own = torch.Generator().manual_seed(_seed(generator))
        images = self._real(rows)
        if self.source is not None and synthetic.any():
            made = self.source(rows[synthetic], own).to(images)
            images[synthetic.to(images.device)] = made
        images = shift_and_flip(images, self.spec.crop, self.spec.flip, generator)
        if self.spec.augmentation == "cutout":
            images = cutout(images, self.fill, generator)
        elif self.spec.augmentation == "randaugment":
            images = randaugment(images, generator)
        elif self.spec.augmentation == "color":
            images = color(images, generator)
        labels = self.y[rows.to(self.y.device)]
        if self.spec.mixup > 0:
            images, labels = mixup(images, labels, self.n_classes, self.spec.mixup, generator)
        elif self.spec.cutmix > 0:
            images, labels = cutmix(images, labels, self.n_classes, self.spec.cutmix, generator)
        return Batch(images, labels, _seed(generator))

    def rows(self, step: int) -> Tensor:
        """Return int64 (batch,) numbers of a step's real images: every one once before any again."""
        size = self.spec.batch_size
        places = torch.arange(step * size, (step + 1) * size)
        epochs = places // len(self.x)
        first, last = int(epochs[0]), int(epochs[-1])
        parts = [self._epoch(epoch)[places[epochs == epoch] % len(self.x)]
                 for epoch in range(first, last + 1)]  # fmt: skip
        self._epochs = {e: order for e, order in self._epochs.items() if e >= last}
        return torch.cat(parts)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            generator = torch.Generator().manual_seed(derived_seed("epoch", self.seed, epoch))
            self._epochs[epoch] = torch.randperm(len(self.x), generator=generator)
        return self._epochs[epoch]

    def _real(self, rows: Tensor) -> Tensor:
        # The channels stay last in memory, as convolutions want them.
        return self.x[rows.to(self.x.device)].permute(0, 3, 1, 2).float().div_(255)


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator))

"""The batch engine: orders in, edits out, each the same whoever shares its batch.

Sources are encoded once for all their prompts and prompts once for all their images; batches have one
fixed size, the last of a size in pixels padded; noise comes from one generator an item, on the CPU,
so that it is the same on every device.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch

from models.alia.editing.keeping import Keeping
from models.alia.editing.prompts import Prompts
from models.alia.editing.sizes import Pixels, Size, Sizes, resized
from models.errors import Interrupted

MOST_KEPT = 512 * 2**20
"""Bytes of latents, and of embeddings, that are kept: latents of 8,000 sources at 512 pixels."""

BLACKEST = 2
"""Grey level that an edit must somewhere pass not to be called black."""


@dataclass(frozen=True)
class Order:
    """One wanted edit.

    Attributes:
        image: uint8, (h, w, 3); None where the editor sees no source, or the edit is to be square.
        source: names the image: orders of equal `source` must have the same one.
        class_name: of the image.
        description: a domain in words, with `{}` where the class goes.
        seed: of the edit's noise, a uint64.
    """

    image: Pixels | None
    source: Hashable
    class_name: str
    description: str
    seed: int


@dataclass(frozen=True)
class Edited:
    """An edit.

    Attributes:
        image: uint8, (h, w, 3), at the size it was edited at.
        problem: what is wrong with it on its face, if anything.
    """

    image: Pixels
    problem: Literal["black"] | None


@dataclass(frozen=True)
class Batch:
    """What a model denoises at once, n items of one size.

    Attributes:
        embeddings: of the prompts, (n, tokens, features).
        sources: latents of the sources, (n, channels, h, w); None where the model sees none.
        generators: one an item, on the CPU.
        size: height and width in pixels.
    """

    embeddings: torch.Tensor
    sources: torch.Tensor | None
    generators: list[torch.Generator]
    size: Size


class Model(Protocol):
    """A diffusion model as the engine sees it. All tensors but pixels are the model's own affair.

    Attributes:
        sizes: those of its images.
        steps: denoising steps that an edit takes.
        sees_source: whether it starts from an image.
        facts: what an edit depends on, as JSON.
    """

    sizes: Sizes
    steps: int
    sees_source: bool
    facts: dict[str, Any]

    def embed(self, prompt: str) -> torch.Tensor:
        """Return a prompt's embeddings, (1, tokens, features)."""

    def reads_whole(self, prompt: str) -> bool:
        """Return whether the text encoder has room for all of a prompt."""

    def encode(self, image: Pixels) -> torch.Tensor:
        """Return the latents, (1, channels, h, w), of an image that has a size of the model's."""

    def denoise(self, batch: Batch, on_step: Callable[[], None]) -> torch.Tensor:
        """Return latents of the edits; call `on_step` after each step."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return pixels in [0, 1], (n, 3, h, w)."""


class Editor:
    """Edits images into domains with one model.

    Attributes:
        batch_size: images edited at once; whoever keeps an editor may change it between calls.
    """

    def __init__(self, model: Model, prompts: Prompts, batch_size: int) -> None:
        self._model = model
        self._prompts = prompts
        self.batch_size = batch_size
        self._latents = Keeping(MOST_KEPT)
        self._embeddings = Keeping(MOST_KEPT)

    @property
    def facts(self) -> dict[str, Any]:
        """What edits depend on besides their orders, as JSON."""
        return {
            **self._model.facts,
            "batch": self.batch_size,
            "size": self._model.sizes.side,
            "template": self._prompts.template,
        }

    def cut_short(self, descriptions: Sequence[str], classes: Sequence[str]) -> list[str]:
        """Return the prompts, of every description and class, whose end the text encoder never reads."""
        wanted = (self._prompts(one, name) for one in descriptions for name in classes)
        return [prompt for prompt in dict.fromkeys(wanted) if not self._model.reads_whole(prompt)]

    @torch.no_grad()
    def edit(
        self,
        orders: Sequence[Order],
        on_progress: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> list[Edited]:
        """Return the edits, in the order of their orders.

        Args:
            orders: of any sizes, in any order.
            on_progress: told the denoising steps done, and those of all batches.
            should_stop: asked at every denoising step.

        Raises:
            InputProblem: an image cannot be edited at its proportions.
            Interrupted: `should_stop` said so.
        """
        batches = self._batches(orders)
        done, total = 0, len(batches) * self._model.steps

        def on_step() -> None:
            nonlocal done
            if should_stop():
                raise Interrupted
            done += 1
            on_progress(done, total)

        edits: dict[int, Edited] = {}
        for size, rows in batches:
            images = self._batch([orders[row] for row in rows], size, on_step)
            edits.update(zip(rows, images, strict=True))
        return [edits[row] for row in range(len(orders))]

    def _batches(self, orders: Sequence[Order]) -> list[tuple[Size, list[int]]]:
        """Return rows of orders by size in pixels, at most a batch together."""
        rows: dict[Size, list[int]] = {}
        for row, order in enumerate(orders):
            rows.setdefault(self._model.sizes.of(order.image, order.source), []).append(row)
        most = self.batch_size
        return [
            (size, alike[start : start + most])
            for size, alike in rows.items()
            for start in range(0, len(alike), most)
        ]

    def _batch(
        self, orders: list[Order], size: Size, on_step: Callable[[], None]
    ) -> Iterator[Edited]:
        # Always as many rows, for a kernel may round otherwise with fewer.
        padded = [*orders, *[orders[-1]] * (self.batch_size - len(orders))]
        batch = Batch(
            torch.cat([self._embedded(order) for order in padded]),
            torch.cat([self._encoded(order, size) for order in padded])
            if self._model.sees_source
            else None,
            [torch.Generator().manual_seed(order.seed) for order in padded],
            size,
        )
        latents = self._model.denoise(batch, on_step)
        pixels = self._model.decode(latents)[: len(orders)]
        # A value that is none would become any grey level at all.
        levels = pixels.float().nan_to_num(0.0).clamp(0, 1).mul(255).add(0.5).to(torch.uint8)
        images: Pixels = np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())
        return (Edited(one, "black" if one.max() <= BLACKEST else None) for one in images)

    def _embedded(self, order: Order) -> torch.Tensor:
        prompt = self._prompts(order.description, order.class_name)
        return self._embeddings.get(prompt, lambda: self._model.embed(prompt))

    def _encoded(self, order: Order, size: Size) -> torch.Tensor:
        image = order.image
        if image is None:
            raise ValueError(f"the order of source {order.source} has no image to start from")
        # One at a time: what an image is encoded to must not depend on what is kept already.
        return self._latents.get(
            (order.source, size), lambda: self._model.encode(resized(image, size))
        )

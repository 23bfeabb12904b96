"""A trained GLICO generator: what `method.train` returns, draws from, keeps and loads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.checkpoints import load_model, save_model
from models.errors import InputProblem, Interrupted
from models.glico import sphere
from models.glico.decoder import NOISE_DIM, Decoder
from models.glico.pairs import Members, Mix, columns
from models.glico.spec import DecoderSpec, InterpolationSpec
from models.precision import Resolved, autocast, resolve
from models.seeds import item_seed

FORMAT = 1
"""Version of a generator's files."""

NAME = "generator"
BATCH = 64

Source = Callable[[Tensor, torch.Generator], Tensor]
"""Numbers of training images and a generator to images of the same classes, made anew."""


@dataclass(frozen=True)
class Drawn:
    """Synthetic images and where they come from.

    Attributes:
        images: uint8 `n side side 3`.
        parents: numbers of training images, `n p`, the base first.
        weights: their shares, `n p`, of sum 1; 0 for a place that has no parent.
    """

    images: npt.NDArray[np.uint8]
    parents: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


class Generator:
    """A trained generator, its codes, and the training images that they stand for.

    Attributes:
        classes: names of the classes.
        side: of the images, in pixels.
        config: what it is and how it was made, as JSON.
        codes: one for each training image, `n d`, of length 1.
    """

    def __init__(
        self,
        decoder: Decoder,
        codes: Tensor,
        images: Tensor,
        labels: Tensor,
        config: dict[str, Any],
    ) -> None:
        self._decoder = decoder.eval()
        self.codes, self._images, self._labels = codes, images, labels
        self.config = config
        self.classes: list[str] = config["classes"]
        self.side: int = config["side"]
        y = labels.cpu().numpy()
        self.members = Members(y, len(self.classes), str(codes.device))
        self._lost: Tensor | None = None

    @property
    def lonely(self) -> list[str]:
        """Classes with a single training image: they have no pair, and nothing is made of them."""
        counts = self.members.counts.tolist()
        return [name for name, n in zip(self.classes, counts, strict=True) if n == 1]

    def sample(
        self,
        cells: npt.NDArray[np.int64],
        counters: npt.NDArray[np.int64],
        *,
        seed: int,
        interpolation: InterpolationSpec,
        batch_size: int = BATCH,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Drawn:
        """Return an image for each class number and counter.

        An item depends on ``seed``, its class and its counter alone: the images of a class are the bases
        in turn, and the rest is drawn from the item's own seed. Batches are always full, the last one
        padded: equal bytes for equal batches, and equal up to rounding however items are cut into calls.

        Args:
            cells: class of each item, `n`.
            counters: its number within the class, `n`.
            seed: the job's.
            interpolation: how images are made of their parents.
            batch_size: images through the network at once.
            should_stop: asked before every batch.
            on_progress: called with images done and images in all.

        Raises:
            InputProblem: ``class_without_pair``, a class has fewer than two training images.
            Interrupted: ``should_stop`` said so between two batches.
        """
        cells = np.asarray(cells, dtype=np.int64)
        self._refuse_lonely(cells)
        n, parents = len(cells), interpolation.parents
        images = np.empty((n, self.side, self.side, 3), dtype=np.uint8)
        found = Drawn(images, np.empty((n, parents), np.int64), np.empty((n, parents), np.float32))
        for start in range(0, n, batch_size):
            if should_stop():
                raise Interrupted(f"stopped after {start} of {n} images")
            rows = slice(start, min(start + batch_size, n))
            filled = rows.stop - rows.start
            padded = np.resize(cells[rows], batch_size), np.resize(counters[rows], batch_size)
            made, mix = self._items(*padded, seed, interpolation)
            images[rows] = made[:filled]
            found.parents[rows] = mix.parents[:filled].cpu().numpy()
            found.weights[rows] = mix.weights[:filled].cpu().numpy()
            on_progress(rows.stop, n)
        return found

    def _refuse_lonely(self, cells: npt.NDArray[np.int64]) -> None:
        counts = self.members.counts.cpu().numpy()
        short = np.unique(cells[counts[cells] < 2]) if len(cells) else cells
        if len(short):
            name, count = self.classes[short[0]], counts[short[0]]
            raise InputProblem(
                "class_without_pair",
                f"Class {name!r} has {count} training image{'s' if count != 1 else ''}; an image is made "
                "of two of its class.",
                "plan",
            )

    @torch.inference_mode()
    def _items(
        self,
        cells: npt.NDArray[np.int64],
        counters: npt.NDArray[np.int64],
        seed: int,
        spec: InterpolationSpec,
    ) -> tuple[npt.NDArray[np.uint8], Mix]:
        device, drawn = self.codes.device, columns(spec)
        noise = np.zeros((len(cells), NOISE_DIM), dtype=np.float32)
        uniform = np.zeros((len(cells), drawn))
        for i, (cell, counter) in enumerate(zip(cells.tolist(), counters.tolist(), strict=True)):
            rng = np.random.Generator(np.random.Philox(key=item_seed(seed, cell, counter)))
            uniform[i] = rng.random(drawn)
            noise[i] = rng.standard_normal(NOISE_DIM, dtype=np.float32)
        base = self.members.base(
            torch.from_numpy(cells).to(device), torch.from_numpy(counters).to(device)
        )
        mix = self.members.mix(base, torch.from_numpy(uniform).float().to(device), spec)
        made = self.decode(mix, spec, torch.from_numpy(noise).to(device))
        whole = (made * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        return np.ascontiguousarray(whole.cpu().numpy()), mix

    def source(self, spec: InterpolationSpec) -> Source:
        """Return what a classifier's training draws its synthetic images from."""
        precision = resolve("auto", str(self.codes.device))

        @torch.inference_mode()
        def draw(rows: Tensor, generator: torch.Generator) -> Tensor:
            mix = drawn_mix(self.members, rows, generator, spec)
            noise = torch.randn(len(rows), NOISE_DIM, generator=generator)
            return self.decode(mix, spec, noise.to(self.codes.device), precision)

        return draw

    def decode(
        self,
        mix: Mix,
        spec: InterpolationSpec,
        noise: Float[Tensor, "k e"],
        precision: Resolved = "float32",
    ) -> Float[Tensor, "k 3 side side"]:
        """Return images in [0, 1] of parents and shares."""
        labels = self._labels[mix.parents[:, 0]]
        if spec.path == "none":
            return self._decoded(self.codes[mix.parents[:, 0]], labels, noise, precision)
        codes = self.codes[mix.parents]
        if spec.path == "slerp":
            z = sphere.mean(codes, mix.weights)
        else:
            z = (mix.weights.unsqueeze(2) * codes).sum(dim=1)
        made = self._decoded(z, labels, noise, precision)
        if not spec.residuals:
            return made
        for number in range(mix.parents.shape[1]):
            share = mix.weights[:, number, None, None, None]
            made = made + share * self._residuals(mix.parents[:, number])
        return made.clamp(0, 1)

    def reconstruct(self, rows: Int[Tensor, " k"]) -> Float[Tensor, "k 3 side side"]:
        """Return what the generator makes of training images, without noise."""
        return self._decoded(self.codes[rows], self._labels[rows], None)

    def _decoded(
        self, z: Tensor, labels: Tensor, noise: Tensor | None, precision: Resolved = "float32"
    ) -> Tensor:
        with autocast(z.device, precision):
            made: Tensor = self._decoder(z, labels, noise)
        return made.float()

    def _residuals(self, rows: Tensor) -> Tensor:
        """Return what the reconstructions of these training images lack."""
        if self._lost is None:
            self._lost = self._all_residuals()
        return self._lost[rows].float()

    @torch.inference_mode()
    def _all_residuals(self) -> Tensor:
        """Return all of them in half precision: decoded once, not for each image that is made."""
        parts = [
            (self.originals(rows) - self.reconstruct(rows)).half()
            for rows in torch.split(torch.arange(len(self.codes), device=self.codes.device), BATCH)
        ]
        return torch.cat(parts)

    def originals(self, rows: Int[Tensor, " k"]) -> Float[Tensor, "k 3 side side"]:
        """Return training images in [0, 1]."""
        return self._images[rows].float() / 255

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write `generator.safetensors` and `config.json` into ``folder``; return both paths."""
        tensors = {f"decoder.{k}": v for k, v in self._decoder.state_dict().items()}
        tensors |= {"codes": self.codes, "images": self._images, "labels": self._labels}
        return save_model(folder, NAME, tensors, self.config)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Return the generator that `save` wrote.

        Raises:
            ValueError: the folder holds another format.
        """
        tensors, config = load_model(folder, NAME, device)
        if config.get("method") != "glico" or config.get("format") != FORMAT:
            raise ValueError(f"{folder.name} holds no GLICO generator of format {FORMAT}")
        spec = DecoderSpec.model_validate(config["decoder"])
        decoder = Decoder(spec, config["side"], len(config["classes"])).to(device)
        state = {
            k.removeprefix("decoder."): v for k, v in tensors.items() if k.startswith("decoder.")
        }
        decoder.load_state_dict(state)
        return cls(decoder, tensors["codes"], tensors["images"], tensors["labels"], config)


def drawn_mix(
    members: Members, rows: Tensor, generator: torch.Generator, spec: InterpolationSpec
) -> Mix:
    """Return parents and shares; equal generators give equal ones, whatever is made of them."""
    uniform = torch.rand(len(rows), columns(spec), generator=generator)
    return members.mix(rows.to(members.y.device), uniform.to(members.y.device), spec)


def cross_fade(
    images: npt.NDArray[np.uint8],
    y: npt.NDArray[np.int64],
    n_classes: int,
    spec: InterpolationSpec,
    device: str = "cpu",
) -> Source:
    """Return the control without a network: parents added up pixel by pixel, the same pairs and shares.

    Args:
        images: `n side side 3`.
        y: classes, `n`.
        n_classes: K.
        spec: how many parents, and the range of t.
        device: a torch device.
    """
    members = Members(y, n_classes, device)
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(device)

    def draw(rows: Tensor, generator: torch.Generator) -> Tensor:
        mix = drawn_mix(members, rows, generator, spec)
        torch.randn(len(rows), NOISE_DIM, generator=generator)  # as the generator's source draws
        found = torch.zeros(len(rows), *pixels.shape[1:], device=device)
        for number in range(mix.parents.shape[1]):
            share = mix.weights[:, number, None, None, None]
            found += share * (pixels[mix.parents[:, number]].float() / 255)
        return found

    return draw

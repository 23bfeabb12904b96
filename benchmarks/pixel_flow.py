"""A flow on pixels, as GeLDA's is on latents: the same path, loss and solver around a 2-D U-Net.

The network is diffusers' `UNet2DModel`, small enough for one core. Class and domain are embedded and
added to the time, so that a domain of few images borrows from the others as κ lets GeLDA do.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import UNet2DModel
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.raw_images import Pixels
from benchmarks.subdomain_data import Labels
from models.gelda.objective import Network, flow_loss, logit_normal_time, velocity
from models.gelda.samplers import heun, uniform_times

GRID = 16
"""Places along a side of the network's input; images are folded to it, patches into channels. At 32
places a step takes a second of one core: a budget of minutes would have next to no steps."""

WIDTHS = (64, 96, 128)
BATCH = 32
DRAWN_AT_ONCE = 64
LEARNING_RATE = 1e-3
WARM_UP = 20
DECAY = 0.99
"""Of the weights' moving average, at the end of its ramp: a budget of minutes has few steps."""


class CellEmbedding(nn.Module):
    """A vector a class plus a vector a domain, of the cell's number."""

    def __init__(self, n_classes: int, n_domains: int, width: int) -> None:
        super().__init__()
        self.classes = nn.Embedding(n_classes, width)
        self.domains = nn.Embedding(n_domains, width)

    def forward(self, cells: Int[Tensor, " n"]) -> Float[Tensor, "n width"]:
        n_domains = self.domains.num_embeddings
        found: Tensor = self.classes(cells // n_domains) + self.domains(cells % n_domains)
        return found


@dataclass(frozen=True)
class Trained:
    """How a training went.

    Attributes:
        steps: of the optimiser.
        seconds: of the processor.
        losses: mean of the first and of the last tenth of the steps; a network that
            says nothing has 1.7.
    """

    steps: int
    seconds: float
    losses: tuple[float, float]


class PixelFlow:
    """Trains on images for a budget, and draws others.

    Args:
        pixels: (n, size, size, 3) training images.
        cells: (n,) class · domains + domain of each.
        n_classes: K.
        n_domains: S.
        seed: of weights and of everything drawn.
    """

    def __init__(
        self, pixels: Pixels, cells: Labels, n_classes: int, n_domains: int, *, seed: int
    ) -> None:
        self.size = pixels.shape[1]
        if self.size % GRID:
            raise ValueError(f"images of {self.size} px cannot be folded to {GRID}")
        self._fold = self.size // GRID
        self._pixels, self._cells = pixels, torch.from_numpy(cells)
        self._mean = pixels.mean(axis=(0, 1, 2)).astype(np.float32)
        self._scale = np.maximum(pixels.std(axis=(0, 1, 2)), 1).astype(np.float32)
        self._generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._trained = unet(3 * self._fold**2, n_classes, n_domains)
        self.network = copy.deepcopy(self._trained).eval().requires_grad_(False)

    def fit(
        self, budget: float, on_progress: Callable[[float, float], None], *, most: int | None = None
    ) -> Trained:
        """Train for so many seconds of the processor, or ``most`` steps if those end before."""
        began, losses = time.process_time(), list[float]()
        optimizer = torch.optim.AdamW(self._trained.parameters(), lr=LEARNING_RATE)
        while not losses or time.process_time() - began < budget:
            losses.append(self._step(optimizer, len(losses)))
            on_progress(min(time.process_time() - began, budget), budget)
            if len(losses) == most:
                break
        tenth = max(1, len(losses) // 10)
        ends = float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))
        return Trained(len(losses), time.process_time() - began, ends)

    def _step(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        rows = torch.randint(len(self._pixels), (BATCH,), generator=self._generator)
        x_0 = self._standard(self._pixels[rows.numpy()])
        flipped = torch.rand(BATCH, generator=self._generator) < 0.5
        x_0 = torch.where(flipped[:, None, None, None], x_0.flip(-1), x_0).flatten(1)
        t = logit_normal_time(BATCH, self._generator)
        eps = torch.randn(x_0.shape, generator=self._generator)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARM_UP)
        optimizer.zero_grad(set_to_none=True)
        loss = flow_loss(self._of(self._trained, self._cells[rows]), x_0, eps, t, "velocity").mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._trained.parameters(), 1.0)
        optimizer.step()
        new = [p.detach() for p in self._trained.parameters()]
        decay = min(DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.network.parameters()), new, 1 - decay)
        return loss.item()

    @torch.inference_mode()
    def draw(self, cells: Labels, steps: int, on_progress: Callable[[int, int], None]) -> Pixels:
        """Return (n, size, size, 3) images of these cells, by Heun's method."""
        parts, times = [], uniform_times(steps)
        for start in range(0, len(cells), DRAWN_AT_ONCE):
            labels = torch.from_numpy(cells[start : start + DRAWN_AT_ONCE])
            network = self._of(self.network, labels)
            shape = (len(labels), 3 * self.size**2)
            noise = torch.randn(shape, generator=self._generator)
            x = heun(lambda x, t, network=network: velocity(network, x, t), noise, times)  # type: ignore[misc]
            image = x.view(-1, 3, self.size, self.size).permute(0, 2, 3, 1).numpy()
            drawn = image * self._scale + self._mean
            parts.append(drawn.round().clip(0, 255).astype(np.uint8))
            on_progress(start + len(labels), len(cells))
        return np.concatenate(parts)

    def _standard(self, pixels: Pixels) -> Tensor:
        x = (pixels.astype(np.float32) - self._mean) / self._scale
        return torch.from_numpy(x).permute(0, 3, 1, 2)

    def _of(self, model: nn.Module, cells: Tensor) -> Network:
        """Return F of images that are laid out as rows, as loss and solver have them."""

        def network(x: Tensor, t: Tensor) -> Tensor:
            image = functional.pixel_unshuffle(x.view(-1, 3, self.size, self.size), self._fold)
            steps = 1000 * t.reshape(-1).expand(len(x))
            out: Tensor = model(image, steps, class_labels=cells).sample
            return functional.pixel_shuffle(out, self._fold).flatten(1)

        return network


def unet(channels: int, n_classes: int, n_domains: int) -> UNet2DModel:
    """Return a U-Net that starts as zero and hears time, class and domain."""
    model = UNet2DModel(
        sample_size=GRID,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        attention_head_dim=32,
        norm_num_groups=16,
        num_class_embeds=n_classes * n_domains,
    )
    model.class_embedding = CellEmbedding(n_classes, n_domains, 4 * WIDTHS[0])
    nn.init.zeros_(model.conv_out.weight)
    nn.init.zeros_(model.conv_out.bias)
    return model

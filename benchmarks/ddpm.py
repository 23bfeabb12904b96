"""DDPM on latents with the 1-D U-Net, as others have it: ε-prediction, 1,000 ancestral steps.

Ho, Jain & Abbeel 2020, *Denoising Diffusion Probabilistic Models*, algorithms 1 and 2, with their
linear schedule (`DDPMScheduler` of diffusers). Everything in float32, as our own generator.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.nn import functional

from benchmarks.unet1d import UNet1d

STEPS = 1000
BATCH = 128
LEARNING_RATE = 5e-4
WARM_UP = 50
DECAY = 0.995
"""Of the weights' moving average, at the end of its ramp."""

WATCH_STEPS = 25
"""Ancestral steps while training is watched: 1,000 would take longer than the training itself."""

ROUND = 50
"""Optimiser steps between two looks at the Fréchet distance, by default."""

PATIENCE = 4
"""Looks without a lower distance after which training ends."""

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass
class Training:
    """How a training went.

    Attributes:
        steps: optimiser steps of the weights that were kept.
        seconds: in all.
        stopped_by: `patience`, or `budget` where the distance was perhaps still falling.
        watched: steps and Fréchet distance at each look.
    """

    steps: int = 0
    seconds: float = 0.0
    stopped_by: str = "budget"
    watched: list[tuple[int, float]] = field(default_factory=list)


class Ddpm:
    """The rival: standardises, trains, draws.

    Args:
        x: (n, dim) training rows.
        y: (n,) classes from 0 on.
        n_classes: how many there are.
        blocks: residual blocks a level of the U-Net.
        seed: of weights and of everything drawn.
        device: a torch device.
    """

    def __init__(
        self, x: Floats, y: Labels, n_classes: int, *, blocks: int, seed: int, device: str
    ) -> None:
        self.device = device
        self._mean, self._scale = x.mean(axis=0), x.std(axis=0)
        constant = self._scale <= 1e-6
        standard = (x - self._mean) / np.where(constant, 1, self._scale)
        self._x = torch.from_numpy(standard.astype(np.float32)).to(device)
        self._y = torch.from_numpy(y).to(device)
        self._generator = torch.Generator(device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._trained = UNet1d(n_classes, blocks=blocks).to(device)
        self.network = copy.deepcopy(self._trained).eval().requires_grad_(False)
        self._schedule = DDPMScheduler(STEPS, clip_sample=False)

    def fit(
        self,
        distance: Callable[[Callable[[Labels], Floats]], float],
        *,
        budget: float,
        look_after: int = ROUND,
        on_progress: Callable[[float, float], None],
    ) -> Training:
        """Train until the Fréchet distance stops falling; keep the weights where it was lowest.

        Args:
            distance: of what a function of labels draws.
            budget: seconds; no round but the first begins after them.
            look_after: optimiser steps of a round, at whose end the distance is looked at.
            on_progress: called with seconds passed and the budget.
        """
        began, run = time.monotonic(), Training()
        optimizer = torch.optim.AdamW(self._trained.parameters(), lr=LEARNING_RATE)
        best, step = self.network.state_dict(), 0
        while not run.watched or time.monotonic() - began < budget:
            for _ in range(look_after):
                self._step(optimizer, step)
                step += 1
                on_progress(min(time.monotonic() - began, budget), budget)
            run.watched.append((step, distance(partial(self.draw, steps=WATCH_STEPS))))
            if run.watched[-1] == min(run.watched, key=lambda look: look[1]):
                best, run.steps = copy.deepcopy(self.network.state_dict()), step
            elif step >= run.steps + PATIENCE * look_after:
                run.stopped_by = "patience"
                break
        self.network.load_state_dict(best)
        run.seconds = time.monotonic() - began
        return run

    def _step(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        rows = torch.randint(len(self._x), (BATCH,), generator=self._generator, device=self.device)
        t = torch.randint(STEPS, (BATCH,), generator=self._generator, device=self.device)
        eps = torch.randn((BATCH, self._x.shape[1]), generator=self._generator, device=self.device)
        noised = self._schedule.add_noise(self._x[rows], eps, t)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARM_UP)
        optimizer.zero_grad(set_to_none=True)
        loss = functional.mse_loss(self._trained(noised, t, self._y[rows]), eps)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._trained.parameters(), 1.0)
        optimizer.step()
        decay = min(DECAY, (1 + step) / (10 + step))
        new = [p.detach() for p in self._trained.parameters()]
        torch._foreach_lerp_(list(self.network.parameters()), new, 1 - decay)

    @torch.inference_mode()
    def draw(
        self,
        labels: Labels,
        *,
        steps: int = STEPS,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Floats:
        """Return (n, dim) latents by ancestral sampling in this many evenly spaced steps."""
        schedule = DDPMScheduler.from_config(self._schedule.config, timestep_spacing="trailing")
        schedule.set_timesteps(steps)
        y = torch.from_numpy(labels).to(self.device)
        shape = (len(labels), self._x.shape[1])
        x: Tensor = torch.randn(shape, generator=self._generator, device=self.device)
        for done, t in enumerate(schedule.timesteps, 1):
            eps = self.network(x, torch.full_like(y, int(t)), y)
            x = schedule.step(eps, int(t), x, generator=self._generator).prev_sample
            on_progress(done, steps)
        drawn: Floats = x.cpu().numpy() * self._scale + self._mean
        return drawn

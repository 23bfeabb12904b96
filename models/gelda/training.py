"""The training loop: AdamW, a moving average of the weights, checkpoints that resume bit for bit.

Every random number of a step comes from (seed, step), so a resumed run repeats an uninterrupted one
without any generator's state having to be kept.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.checkpoints import (
    below,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_tensors,
)
from models.errors import InputProblem, Interrupted
from models.gelda.flow import Flow
from models.gelda.held_out import LOOKS, Best, HeldOut
from models.gelda.latents import Latents
from models.gelda.rows import Members, Rows
from models.gelda.spec import ObjectiveSpec
from models.seeds import derived_seed
from models.watch import Watch

WARM_UP = 100
"""Steps until the learning rate's peak, at most; a tenth of a short training."""

HISTORY_POINTS = 100
"""Points of the training curve that are kept."""


@dataclass
class Run:
    """The state of a training: all of it goes into a checkpoint."""

    flow: Flow
    optimizer: torch.optim.AdamW
    average: dict[str, Tensor]
    window: Tensor
    fingerprint: str
    step: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)
    best: Best = field(default_factory=Best)

    @property
    def result(self) -> dict[str, Tensor]:
        """The averaged weights to keep: the best on held-out rows, where there were any."""
        return self.best.average or self.average

    def save(self, path: Path) -> Path:
        tensors = {f"flow.{name}": value for name, value in self.flow.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        tensors |= {f"best.{name}": value for name, value in self.best.average.items()}
        kept = optimizer_tensors(self.optimizer)
        tensors |= {f"optimizer.{name}": value for name, value in kept.items()}
        tensors["window"] = self.window
        header = {
            "step": self.step,
            "history": self.history,
            "fingerprint": self.fingerprint,
            "best": [self.best.loss, self.best.since],
            "curve": self.best.curve,
        }
        return write_tensors(path, tensors, header)

    def restore(self, path: Path) -> None:
        """Continue from ``path``.

        Raises:
            ValueError: the checkpoint is of another training.
        """
        tensors, header = read_checkpoint(path, str(self.window.device), self.fingerprint)
        self.flow.load_state_dict(below("flow.", tensors))
        for name, value in below("average.", tensors).items():
            self.average[name].copy_(value)
        restore_optimizer(self.optimizer, below("optimizer.", tensors))
        self.window.copy_(tensors["window"])
        self.step = int(header["step"])
        self.history = _curve(header["history"])
        loss, since = header["best"]
        self.best = Best(below("best.", tensors), loss, since, _curve(header["curve"]))


def fit(
    flow: Flow,
    latents: Latents,
    rows: Rows,
    *,
    spec: ObjectiveSpec,
    seed: int,
    micro_batch: int,
    settings: dict[str, Any],
    held_out: HeldOut | None,
    resume: Path | None,
    watch: Watch,
) -> Run:
    """Train ``flow`` on residuals of ``rows`` in place; return the finished run with its average.

    Args:
        flow: freshly initialised, or of any weights where a checkpoint is resumed.
        latents: the fitted moments, on the device to train on.
        rows: the training rows; only those of a batch are read.
        spec: the objective and its optimiser, with a number of steps.
        seed: all randomness of a step comes from it and the step's number.
        micro_batch: rows through the network at once.
        settings: what must be equal for a checkpoint to be resumed.
        held_out: rows to look at against memorisation, if ``spec.patience`` asks for it.
        resume: a checkpoint's file.
        watch: the caller's ears and its stop.

    Raises:
        Interrupted: ``should_stop`` said so; the state was saved if there is someone to take it.
        InputProblem: ``training_diverged``, when the loss is no longer finite.
    """
    run = _start(flow, spec, settings, latents.mean.device)
    if resume is not None:
        run.restore(resume)
    usable = _usable(latents, rows)
    # Without a row to learn from, the shared Gaussian stays as it is.
    steps = (spec.steps or 0) if len(usable) else 0
    generator = torch.Generator(latents.mean.device)
    report_every, look_every = max(1, steps // HISTORY_POINTS), max(1, steps // LOOKS)
    flow.train()
    if run.step == 0 and steps > 0:
        _look(run, held_out)
    while run.step < steps and not _exhausted(run, spec):
        if watch.should_stop():
            _checkpoint(run, watch)
            raise Interrupted(f"stopped before step {run.step + 1} of {steps}")
        generator.manual_seed(derived_seed("step", seed, run.step))
        chosen = torch.randint(
            len(usable), (spec.batch_size,), generator=generator, device=generator.device
        )
        batch = usable[chosen.cpu().numpy()]
        members = rows.members(batch)
        r = latents.transform(rows.latents(batch), members)
        rate = spec.learning_rate * _rate(run.step, steps)
        _step(run, r, members, generator, spec=spec, rate=rate, micro_batch=micro_batch)
        if run.step % look_every == 0:
            _look(run, held_out)
        if run.step % report_every == 0 or run.step == steps or _exhausted(run, spec):
            _report(run, steps, watch)
        if run.step % spec.checkpoint_steps == 0 and run.step < steps:
            _checkpoint(run, watch)
    return run


def _usable(latents: Latents, rows: Rows) -> np.ndarray:
    """Return the rows to train on: not those that are their cell's mean, which say nothing of it."""
    gain = latents.gain.flatten().cpu().numpy()
    return np.flatnonzero((rows.cells < 0) | (gain[rows.cells] > 0))


def _look(run: Run, held_out: HeldOut | None) -> None:
    if held_out is None:
        return
    loss = held_out.loss(run.average)
    if not math.isfinite(loss):
        raise _diverged(run.step, loss)
    run.best.look(run.step, loss, run.average)


def _exhausted(run: Run, spec: ObjectiveSpec) -> bool:
    return spec.patience is not None and run.best.since >= spec.patience


def _start(flow: Flow, spec: ObjectiveSpec, settings: dict[str, Any], device: torch.device) -> Run:
    flow.to(device)
    optimizer = torch.optim.AdamW(
        flow.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True
    )
    average = {name: p.detach().clone() for name, p in flow.named_parameters()}
    window = torch.zeros(2, device=device, dtype=torch.float64)  # sum of losses, steps summed
    return Run(flow, optimizer, average, window, json.dumps(settings, sort_keys=True))


def _step(
    run: Run,
    r: Tensor,
    members: Members,
    generator: torch.Generator,
    *,
    spec: ObjectiveSpec,
    rate: float,
    micro_batch: int,
) -> None:
    """Take one optimiser step and move the average towards the new weights."""
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.zero_grad(set_to_none=True)
    loss = run.flow.loss(r, members, generator, spec=spec, micro_batch=micro_batch)
    run.optimizer.step()
    run.window += torch.stack([loss.double(), torch.ones_like(loss, dtype=torch.float64)])
    # The ramp: an average over a tenth of the steps so far, until that is as long as asked for.
    decay = min(spec.ema, (1 + run.step) / (10 + run.step))
    parameters = [p.detach() for p in run.flow.parameters()]
    torch._foreach_lerp_(list(run.average.values()), parameters, 1 - decay)
    run.step += 1


def _rate(step: int, steps: int) -> float:
    """Return the share of the peak rate: linear warm-up, then half a cosine down to 0."""
    warm_up = min(WARM_UP, steps // 10 + 1)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _report(run: Run, steps: int, watch: Watch) -> None:
    total, n = run.window.tolist()
    loss = total / max(1.0, n)
    if not math.isfinite(loss):
        raise _diverged(run.step, loss)
    run.history.append((run.step, loss))
    run.window.zero_()
    watch.on_progress(run.step, steps, loss)


def _diverged(step: int, loss: float) -> InputProblem:
    return InputProblem(
        "training_diverged",
        f"the loss was {loss} by step {step}; a lower objective.learning_rate may help",
        "objective.learning_rate",
    )


def _checkpoint(run: Run, watch: Watch) -> None:
    if watch.on_checkpoint is not None:
        path = run.save(watch.scratch / f"checkpoint-{run.step:07d}.safetensors")
        watch.on_checkpoint(path, run.step)


def _curve(points: list[list[float]]) -> list[tuple[int, float]]:
    return [(int(step), float(loss)) for step, loss in points]

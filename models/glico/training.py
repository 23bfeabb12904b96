"""The joint training of codes and generator: Adam on both, codes projected back after every step.

Every random number of a step comes from (seed, step) and every batch from (seed, epoch), so a resumed
run repeats an uninterrupted one bit for bit.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.checkpoints import (
    below,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_tensors,
)
from models.errors import InputProblem, Interrupted
from models.glico.decoder import NOISE_DIM, Auxiliary, Decoder
from models.glico.losses import Distance
from models.glico.sphere import project
from models.precision import Resolved, autocast
from models.seeds import derived_seed
from models.watch import Watch

BETAS = (0.5, 0.999)
HISTORY_POINTS = 100
"""Points of the training curve that are kept."""

_CODE_STD = 0.01


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings of a run, defaults filled in."""

    steps: int
    batch_size: int
    micro_batch: int
    code_rate: float
    generator_rate: float
    classifier_weight: float
    checkpoint_steps: int
    seed: int
    precision: Resolved


@dataclass
class Run:
    """The state of a training: all of it goes into a checkpoint."""

    decoder: Decoder
    auxiliary: Auxiliary
    codes: nn.Embedding
    networks: torch.optim.Adam
    coder: torch.optim.SparseAdam
    window: Tensor
    fingerprint: str
    step: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"decoder": self.decoder, "auxiliary": self.auxiliary, "codes": self.codes}

    @property
    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"networks": self.networks, "coder": self.coder}

    def save(self, path: Path) -> Path:
        tensors = {
            f"{part}.{name}": value
            for part, module in self._modules.items()
            for name, value in module.state_dict().items()
        }
        for part, optimiser in self._optimisers.items():
            kept = optimizer_tensors(optimiser)
            tensors |= {f"{part}.{name}": value for name, value in kept.items()}
        tensors["window"] = self.window
        header = {"step": self.step, "history": self.history, "fingerprint": self.fingerprint}
        return write_tensors(path, tensors, header)

    def restore(self, path: Path) -> None:
        """Continue from ``path``.

        Raises:
            ValueError: the checkpoint is of another training.
        """
        tensors, header = read_checkpoint(path, str(self.window.device), self.fingerprint)
        for part, module in self._modules.items():
            module.load_state_dict(below(f"{part}.", tensors))
        for part, optimiser in self._optimisers.items():
            restore_optimizer(optimiser, below(f"{part}.", tensors))
        self.window.copy_(tensors["window"])
        self.step = int(header["step"])
        self.history = [(int(step), float(loss)) for step, loss in header["history"]]


def start(decoder: Decoder, auxiliary: Auxiliary, n: int, plan: Plan, fingerprint: str) -> Run:
    """Return a run before its first step, on the decoder's device."""
    device = next(decoder.parameters()).device
    noise = torch.Generator().manual_seed(derived_seed("codes", plan.seed))
    first = _CODE_STD * torch.randn(n, decoder.spec.code_dim, generator=noise)
    codes = nn.Embedding(n, decoder.spec.code_dim, sparse=True, _weight=project(first)).to(device)
    weights = [*decoder.parameters(), *auxiliary.parameters()]
    return Run(
        decoder=decoder,
        auxiliary=auxiliary,
        codes=codes,
        networks=torch.optim.Adam(weights, lr=plan.generator_rate, betas=BETAS),
        # Of codes that are not in a batch, Adam's moments would move them all the same.
        coder=torch.optim.SparseAdam(list(codes.parameters()), lr=plan.code_rate, betas=BETAS),
        window=torch.zeros(2, dtype=torch.float64, device=device),
        fingerprint=fingerprint,
    )


def fit(
    run: Run, images: Tensor, labels: Tensor, distance: Distance, plan: Plan, watch: Watch
) -> None:
    """Train in place until ``plan.steps``.

    Args:
        run: from `start`, or restored.
        images: uint8 `n 3 side side`, on the device.
        labels: int64 `n`, on the device.
        distance: of a reconstruction from its image.
        plan: settings.
        watch: the caller's ears and its stop.

    Raises:
        Interrupted: ``should_stop`` said so; the state was saved if there is someone to take it.
        InputProblem: ``training_diverged``, when the loss is no longer finite.
    """
    report_every = max(1, plan.steps // HISTORY_POINTS)
    batches = _Batches(len(images), plan)
    run.decoder.train()
    run.auxiliary.train()
    while run.step < plan.steps:
        if watch.should_stop():
            _checkpoint(run, watch)
            raise Interrupted(f"stopped after step {run.step} of {plan.steps}")
        _step(run, images, labels, distance, plan, batches.of(run.step))
        if run.step % report_every == 0 or run.step == plan.steps:
            _report(run, plan.steps, watch)
        if run.step % plan.checkpoint_steps == 0 and run.step < plan.steps:
            _checkpoint(run, watch)
    run.decoder.eval()
    run.auxiliary.eval()


class _Batches:
    """The rows of each step: shuffled epochs, the last batch of each filled from the next."""

    def __init__(self, n: int, plan: Plan) -> None:
        self._n, self._size, self._seed = n, min(plan.batch_size, n), plan.seed
        self._order: dict[int, Tensor] = {}

    def of(self, step: int) -> Tensor:
        start = step * self._size
        places = torch.arange(start, start + self._size)
        epochs = places // self._n
        return torch.cat(
            [
                self._epoch(epoch)[places[epochs == epoch] % self._n]
                for epoch in sorted(set(epochs.tolist()))
            ]
        )

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._order:
            generator = torch.Generator().manual_seed(derived_seed("epoch", self._seed, epoch))
            self._order.pop(epoch - 2, None)
            self._order[epoch] = torch.randperm(self._n, generator=generator)
        return self._order[epoch]


def _step(
    run: Run, images: Tensor, labels: Tensor, distance: Distance, plan: Plan, rows: Tensor
) -> None:
    device = images.device
    generator = torch.Generator().manual_seed(derived_seed("step", plan.seed, run.step))
    noise = torch.randn(len(rows), NOISE_DIM, generator=generator)
    share = 0.5 * (1 + math.cos(math.pi * run.step / plan.steps))
    for optimiser, rate in ((run.networks, plan.generator_rate), (run.coder, plan.code_rate)):
        optimiser.param_groups[0]["lr"] = rate * share
        optimiser.zero_grad(set_to_none=True)
    loss = torch.zeros((), device=device)
    rows, noise = rows.to(device), noise.to(device)
    for first in range(0, len(rows), plan.micro_batch):
        micro = slice(first, first + plan.micro_batch)
        part, noise_part = rows[micro], noise[micro]
        with autocast(device, plan.precision):
            made = run.decoder(run.codes(part), labels[part], noise_part)
            logits = run.auxiliary(made)
        wanted = images[part].float() / 255
        error = distance(made.float(), wanted)
        if plan.classifier_weight:
            error = error + plan.classifier_weight * functional.cross_entropy(
                logits.float(), labels[part]
            )
        error = error * (len(part) / len(rows))
        error.backward()  # type: ignore[no-untyped-call]
        loss += error.detach()
    run.networks.step()
    run.coder.step()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        run.codes.weight[rows] = project(run.codes.weight[rows])
    run.window += torch.stack([loss.double(), torch.ones_like(loss, dtype=torch.float64)])
    run.step += 1


def _report(run: Run, steps: int, watch: Watch) -> None:
    total, n = run.window.tolist()
    loss = total / max(1.0, n)
    if not math.isfinite(loss):
        raise InputProblem(
            "training_diverged",
            f"the loss was {loss} by step {run.step}; a lower reconstruction.generator_rate may help",
            "reconstruction.generator_rate",
        )
    run.history.append((run.step, loss))
    run.window.zero_()
    watch.on_progress(run.step, steps, loss)


def _checkpoint(run: Run, watch: Watch) -> None:
    if watch.on_checkpoint is not None:
        path = run.save(watch.scratch / f"checkpoint-{run.step:07d}.safetensors")
        watch.on_checkpoint(path, run.step)

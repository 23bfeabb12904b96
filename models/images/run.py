"""The state of a classifier's training: one step of it, and its checkpoints."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.checkpoints import (
    below,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_tensors,
)
from models.errors import InputProblem
from models.images.batches import Batch
from models.images.classifier import Normalised
from models.images.networks import ImageNetwork
from models.images.spec import ImageClassifierSpec
from models.precision import Resolved, autocast

HEAD_RATE = 10.0
"""Learning rate of a backbone's new head, as a multiple of the backbone's: it alone begins with nothing."""


@dataclass
class Run:
    """The state of a training: all of it goes into a checkpoint."""

    model: Normalised
    optimizer: torch.optim.Optimizer
    window: Tensor
    fingerprint: str
    precision: Resolved = "float32"
    step: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        model: Normalised,
        spec: ImageClassifierSpec,
        fingerprint: str,
        precision: Resolved = "float32",
    ) -> "Run":
        # Sum of losses, and of steps.
        window = torch.zeros(2, device=model.mean.device, dtype=torch.float64)
        return cls(model, _optimizer(model.network, spec), window, fingerprint, precision)

    def learn(self, batch: Batch, rate: float, rows: int) -> None:
        """Take one optimiser step, with ``rows`` images through the network at once."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.zero_grad(set_to_none=True)
        device = self.model.mean.device
        total = torch.zeros((), device=device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(batch.seed)  # dropout knows the global generator only
            for images, labels in zip(
                torch.split(batch.images, rows), torch.split(batch.labels, rows), strict=True
            ):
                with autocast(device, self.precision):
                    logits = self.model.network(self.model.inputs(images))
                loss = functional.cross_entropy(logits.float(), labels, reduction="sum")
                loss = loss / len(batch.images)
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
        self.optimizer.step()
        self.window += torch.stack([total.double(), torch.ones_like(total, dtype=torch.float64)])
        self.step += 1

    def report(self) -> float:
        """Return the mean loss since the last report.

        Raises:
            InputProblem: ``training_diverged``.
        """
        total, n = self.window.tolist()
        loss = float(total / max(1.0, n))
        if not math.isfinite(loss):
            raise InputProblem(
                "training_diverged",
                f"the classifier's loss was {loss} by step {self.step}; a lower "
                "classifier.learning_rate may help",
                "classifier.learning_rate",
            )
        self.history.append((self.step, loss))
        self.window.zero_()
        return loss

    def save(self, path: Path) -> Path:
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        kept = optimizer_tensors(self.optimizer)
        tensors |= {f"optimizer.{name}": value for name, value in kept.items()}
        tensors["window"] = self.window
        header = {"step": self.step, "history": self.history, "fingerprint": self.fingerprint}
        return write_tensors(path, tensors, header)

    def restore(self, path: Path) -> None:
        """Continue from ``path``.

        Raises:
            ValueError: the checkpoint is of another training.
        """
        tensors, header = read_checkpoint(path, str(self.window.device), self.fingerprint)
        self.model.load_state_dict(below("model.", tensors))
        restore_optimizer(self.optimizer, below("optimizer.", tensors))
        self.window.copy_(tensors["window"])
        self.step = int(header["step"])
        self.history = [(int(step), float(loss)) for step, loss in header["history"]]


def _optimizer(network: ImageNetwork, spec: ImageClassifierSpec) -> torch.optim.Optimizer:
    """Return SGD, or AdamW for a backbone; biases and BatchNorm's scales do not decay."""
    if spec.backbone is None:
        groups = _groups(network.parameters(), spec.weight_decay, 1.0)
        return torch.optim.SGD(groups, lr=spec.peak_rate, momentum=0.9, nesterov=True)
    head = list(network.linear.parameters())
    below = [p for p in network.parameters() if all(p is not own for own in head)]
    groups = _groups(below, spec.weight_decay, 1.0) + _groups(head, spec.weight_decay, HEAD_RATE)
    return torch.optim.AdamW(groups, lr=spec.peak_rate)


def _groups(parameters: Iterable[Tensor], decay: float, factor: float) -> list[dict[str, Any]]:
    """Return the optimiser's groups: weights, and what does not decay; ``factor`` of the rate."""
    every = list(parameters)
    return [
        {"params": [p for p in every if p.ndim > 1], "weight_decay": decay, "factor": factor},
        {"params": [p for p in every if p.ndim <= 1], "weight_decay": 0.0, "factor": factor},
    ]

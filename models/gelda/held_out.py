"""The flow's loss on rows that it was not trained on, to stop before it learns rows by heart."""

from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from models.gelda.flow import Flow
from models.gelda.latents import Latents
from models.gelda.objective import logit_normal_time
from models.gelda.rows import Rows
from models.gelda.spec import ObjectiveSpec
from models.seeds import derived_seed

LOOKS = 20
"""Looks at held-out rows in a training that runs to its end, beside one before the first step."""

PROBES = 2048
"""Rows of a look, each with one noise and one time: few held-out rows are looked at repeatedly, of
many only some."""

BATCH = 512
"""Rows through the network at once."""


class HeldOut:
    """Held-out residuals with noise and times, the same at every look.

    Args:
        rows: held-out rows, all labelled.
        latents: fitted to the training rows.
        flow: the network whose averaged weights are looked at; it is copied.
        spec: which loss.
        seed: of noise and times.
    """

    def __init__(
        self, rows: Rows, latents: Latents, flow: Flow, spec: ObjectiveSpec, seed: int
    ) -> None:
        device = latents.mean.device
        generator = torch.Generator(device).manual_seed(derived_seed("held out", seed))
        order = torch.randperm(len(rows), generator=generator, device=device).cpu().numpy()
        chosen = np.sort(np.resize(order, PROBES))
        self._members = rows.members(chosen)
        self._x_0 = latents.transform_new(rows.latents(chosen), self._members)
        self._t = logit_normal_time(PROBES, generator)
        self._eps = torch.randn(self._x_0.shape, generator=generator, device=device)
        self._flow, self._output = deepcopy(flow).to(device).eval(), spec.output

    @torch.no_grad()
    def loss(self, average: dict[str, Tensor]) -> float:
        """Return the mean loss with the weights ``average``, all conditions kept."""
        self._flow.load_state_dict(average, strict=False)  # all but the caller's vectors
        total = 0.0
        for start in range(0, PROBES, BATCH):
            part = slice(start, start + BATCH)
            u = self._flow.conditioning(self._members.part(part))
            losses = self._flow.losses(
                self._x_0[part], u, self._eps[part], self._t[part], self._output
            )
            total += float(losses.double().sum())
        return total / PROBES


@dataclass
class Best:
    """The best average so far, and how long ago it was found.

    Attributes:
        average: averaged weights by name; empty before the first look.
        loss: theirs on the held-out rows.
        since: looks since then.
        curve: step and loss of every look.
    """

    average: dict[str, Tensor] = field(default_factory=dict)
    loss: float = 0.0
    since: int = 0
    curve: list[tuple[int, float]] = field(default_factory=list)

    def look(self, step: int, loss: float, average: dict[str, Tensor]) -> None:
        """Take in one look; ``average`` is copied if it is the best."""
        self.curve.append((step, loss))
        if self.average and loss >= self.loss:
            self.since += 1
            return
        self.average = {name: value.clone() for name, value in average.items()}
        self.loss, self.since = loss, 0

"""Network and condition together: a velocity for each row of a class, with or without guidance."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from models.gelda.conditioning import Conditioning
from models.gelda.denoiser import Denoiser
from models.gelda.objective import flow_loss, logit_normal_time, velocity
from models.gelda.samplers import Model


class Flow(nn.Module):
    """The trained part of a generator.

    Args:
        dim: dimensions of a latent.
        n_classes: how many classes there are.
        vectors: (K, m) class vectors; None learns them.
        width, blocks, p: see `Denoiser`.
    """

    def __init__(
        self,
        dim: int,
        n_classes: int,
        vectors: Tensor | None,
        *,
        width: int,
        blocks: int,
        p: float,
    ) -> None:
        super().__init__()
        self.denoiser = Denoiser(dim, width, blocks, p)
        self.conditioning = Conditioning(n_classes, width, vectors)

    def loss(
        self,
        x_0: Float[Tensor, "n dim"],
        labels: Int[Tensor, " n"],
        generator: Generator,
        *,
        output: str,
        drop: float,
        micro_batch: int,
    ) -> Float[Tensor, ""]:
        """Return the mean loss of a batch, and add its gradient to that of the parameters.

        All randomness but dropout is drawn for the whole batch, which is then taken through the
        network ``micro_batch`` rows at a time: less memory for the same step, up to rounding.
        """
        n = len(x_0)
        t = logit_normal_time(n, generator)
        eps = torch.randn(x_0.shape, generator=generator, device=x_0.device)
        dropped = torch.rand(n, generator=generator, device=x_0.device) < drop
        total = torch.zeros((), device=x_0.device)
        for start in range(0, n, micro_batch):
            part = slice(start, start + micro_batch)
            network = self._training_network(labels[part], dropped[part], generator)
            losses = flow_loss(network, x_0[part], eps[part], t[part], output)
            loss = losses.sum() / n
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _training_network(
        self, labels: Int[Tensor, " n"], dropped: Bool[Tensor, " n"], generator: Generator
    ) -> Model:
        u = self.conditioning(labels, dropped)

        def network(x: Tensor, t: Tensor) -> Tensor:
            F: Tensor = self.denoiser(x, t[:, 0], u, generator=generator)
            return F

        return network

    def model(self, labels: Int[Tensor, " n"], guidance: float) -> Model:
        """Return v(x, t) for rows of these classes, for a solver.

        With guidance g ≠ 1: v = v_∅ + g (v_u − v_∅) (Ho & Salimans 2022, equation 6). Conditions are
        embedded once for all steps, one for each class that can occur in a batch of this length.
        """
        present, rows = torch.unique(labels, return_inverse=True)
        # A fixed number of conditions: the same products whatever classes a batch happens to hold.
        fixed = min(len(labels), self.conditioning.table.num_embeddings)
        present = torch.cat([present, present.new_zeros(fixed - len(present))])
        u, none = self.conditioning(present), self.conditioning.none(1)

        def field(u: Tensor, rows: Tensor) -> Model:
            def network(x: Tensor, t: Tensor) -> Tensor:
                F: Tensor = self.denoiser(x, t.expand(len(u)), u, rows)
                return F

            return lambda x, t: velocity(network, x, t)

        conditional = field(u, rows)
        if guidance == 1:
            return conditional
        unconditional = field(none, torch.zeros_like(rows))

        def guided(x: Tensor, t: Tensor) -> Tensor:
            v_none = unconditional(x, t)
            return v_none + guidance * (conditional(x, t) - v_none)

        return guided

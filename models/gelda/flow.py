"""Network and condition together: a velocity for each row of a cell, with or without guidance."""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from models.gelda.conditioning import Conditioning
from models.gelda.denoiser import Denoiser
from models.gelda.guidance import Guidance, Kept, guided
from models.gelda.objective import flow_loss, logit_normal_time, velocity
from models.gelda.rows import Members
from models.gelda.samplers import Model
from models.gelda.spec import ObjectiveSpec


class Flow(nn.Module):
    """The trained part of a generator.

    Args:
        dim: dimensions of a latent.
        conditioning: of the denoiser's width.
        denoiser: the network.
    """

    def __init__(self, denoiser: Denoiser, conditioning: Conditioning) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.conditioning = conditioning

    def loss(
        self,
        x_0: Float[Tensor, "n dim"],
        members: Members,
        generator: Generator,
        *,
        spec: ObjectiveSpec,
        micro_batch: int,
    ) -> Float[Tensor, ""]:
        """Return the mean loss of a batch, and add its gradient to that of the parameters.

        All randomness but dropout is drawn for the whole batch, which is then taken through the
        network ``micro_batch`` rows at a time: less memory for the same step, up to rounding.
        """
        n, device = len(x_0), x_0.device
        t = logit_normal_time(n, generator)
        eps = torch.randn(x_0.shape, generator=generator, device=device)
        no_class = torch.rand(n, generator=generator, device=device) < spec.drop_class
        no_subdomain = None
        if self.conditioning.subdomains is not None:
            no_subdomain = torch.rand(n, generator=generator, device=device) < spec.drop_subdomain
        total = torch.zeros((), device=device)
        for start in range(0, n, micro_batch):
            part = slice(start, start + micro_batch)
            kappa = None if no_subdomain is None else no_subdomain[part]
            u = self.conditioning(members.part(part), no_class[part], kappa)
            losses = self.losses(x_0[part], u, eps[part], t[part], spec.output, generator)
            loss = losses.sum() / n
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def losses(
        self,
        x_0: Float[Tensor, "n dim"],
        u: Float[Tensor, "n width"],
        eps: Float[Tensor, "n dim"],
        t: Float[Tensor, " n"],
        output: str,
        generator: Generator | None = None,
    ) -> Float[Tensor, " n"]:
        """Return the loss of each row at given noise and times; ``generator`` draws the dropout."""

        def network(x: Tensor, t: Tensor) -> Tensor:
            F: Tensor = self.denoiser(x, t[:, 0], u, generator=generator)
            return F

        return flow_loss(network, x_0, eps, t, output)

    def model(self, cells: Int[Tensor, " n"], guidance: Guidance) -> Model:
        """Return v(x, t) for rows of these cells, for a solver.

        Conditions are embedded once for all steps, one for each cell that can occur in a batch of
        this length.
        """
        present, rows = torch.unique(cells, return_inverse=True)
        # A fixed number of conditions: the same products whatever cells a batch happens to hold.
        fixed = min(len(cells), self.conditioning.n_cells)
        present = torch.cat([present, present.new_zeros(fixed - len(present))])

        def flow(kept: Kept) -> Model:
            if kept == (False, False):
                return self._field(self.conditioning.none(), torch.zeros_like(rows))
            return self._field(self._conditions(present, kept), rows)

        return guided(flow, guidance)

    def _conditions(self, cells: Int[Tensor, " n"], kept: Kept) -> Float[Tensor, "n width"]:
        subdomains = self.conditioning.subdomains
        members = Members.of_cells(
            cells, 1 if subdomains is None else subdomains.table.num_embeddings
        )
        dropped = [None if keep else torch.ones_like(cells, dtype=torch.bool) for keep in kept]
        u: Tensor = self.conditioning(members, *dropped)
        return u

    def _field(self, u: Tensor, rows: Tensor) -> Model:
        def network(x: Tensor, t: Tensor) -> Tensor:
            F: Tensor = self.denoiser(x, t.expand(len(u)), u, rows)
            return F

        return lambda x, t: velocity(network, x, t)

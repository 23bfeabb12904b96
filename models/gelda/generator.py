"""A trained generator: what `method.train` returns, draws from, keeps and loads."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from models.checkpoints import load_model, save_model
from models.errors import Interrupted
from models.front.front import Front
from models.gelda.conditioning import Conditioning
from models.gelda.denoiser import Denoiser
from models.gelda.flow import Flow
from models.gelda.guidance import Guidance
from models.gelda.latents import Latents
from models.gelda.rows import Members
from models.gelda.samplers import SOLVERS, uniform_times
from models.gelda.spec import SamplerSpec
from models.seeds import item_seed

FORMAT = 2
"""Version of a generator's files."""


class Generator:
    """A trained generator.

    Attributes:
        classes: names of the classes.
        subdomains: names of the subdomains; empty where none are conditioned on.
        dim: dimensions of what `sample` hands out by default.
        front: what made latents of embeddings, and turns them back where it can.
        config: what it is and how it was made, as JSON.
    """

    def __init__(self, flow: Flow, latents: Latents, front: Front, config: dict[str, Any]) -> None:
        self._flow = flow.eval()
        self._latents = latents
        self.front = front.eval()
        self.config = config
        self.classes: list[str] = config["classes"]
        self.subdomains: list[str] = config["subdomains"]
        self.dim: int = config["dim"]

    @property
    def centres(self) -> np.ndarray:
        """(K·S, dim) float32 Z^(l), what the rows of each cell are drawn around.

        Where latents are modelled directly, that is the training rows' mean for every cell.
        """
        fitted = self._latents
        z = fitted.centres.flatten(0, 1) * fitted.scale + fitted.mean
        return np.asarray(z.cpu().numpy())

    def sample(
        self,
        cells: np.ndarray,
        counters: np.ndarray,
        *,
        seed: int,
        sampler: SamplerSpec,
        space: Literal["embedding", "latent"] = "embedding",
        batch_size: int = 1024,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> np.ndarray:
        """Return (n, dim) float32 rows, one for each cell and counter.

        An item depends on ``seed``, its cell and its counter within the cell alone, not on what is
        drawn beside it. Batches are always full, the last one padded: equal bytes for equal batches,
        and equal up to rounding however the items are cut into calls.

        Args:
            cells: (n,) int64 cell numbers, class · S + subdomain; class numbers without subdomains.
                A cell may be one that had no training row.
            counters: (n,) int64 numbers of the items within their cell.
            seed: the job's.
            sampler: solver, steps, guidance and temperature.
            space: ``embedding`` turns latents back into embeddings where the front can, and hands
                out latents where it cannot; ``latent`` gives Z^(l) in any case.
            batch_size: rows through the network at once.
            should_stop: asked before every batch.
            on_progress: called with rows done and rows in all.

        Raises:
            Interrupted: ``should_stop`` said so between two batches.
        """
        cells = np.asarray(cells, dtype=np.int64)
        dim, back = self.front.dim, space == "embedding" and self.front.invertible
        out = np.empty((len(cells), self.dim if back else dim), dtype=np.float32)
        for start in range(0, len(cells), batch_size):
            if should_stop():
                raise Interrupted(f"stopped after {start} of {len(cells)} latents")
            rows = slice(start, min(start + batch_size, len(cells)))
            filled = rows.stop - rows.start
            batch = np.zeros(batch_size, dtype=np.int64)
            batch[:filled] = cells[rows]
            noise = np.zeros((batch_size, dim), dtype=np.float32)
            for i, (cell, counter) in enumerate(zip(cells[rows], counters[rows], strict=True)):
                noise[i] = item_noise(item_seed(seed, int(cell), int(counter)), dim)
            out[rows] = self._solve(batch, noise, sampler, back)[:filled]
            on_progress(rows.stop, len(cells))
        return out

    @torch.inference_mode()
    def _solve(
        self, cells: np.ndarray, noise: np.ndarray, sampler: SamplerSpec, back: bool
    ) -> np.ndarray:
        device = self._latents.mean.device
        numbers = torch.from_numpy(cells).to(device)
        x_1 = torch.from_numpy(noise).to(device) * math.sqrt(sampler.temperature)
        model = self._flow.model(numbers, Guidance.of(sampler, subdomains=bool(self.subdomains)))
        r = SOLVERS[sampler.name](model, x_1, uniform_times(sampler.steps, device))
        z = self._latents.inverse(r, Members.of_cells(numbers, self._latents.n_subdomains))
        x: np.ndarray = (self.front.inverse(z) if back else z).cpu().numpy()
        return x

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write `generator.safetensors` and `config.json` into ``folder``; return both paths."""
        tensors = {f"flow.{k}": v for k, v in self._flow.state_dict().items()}
        tensors |= {f"latents.{k}": v for k, v in self._latents.tensors().items()}
        tensors |= {f"front.{k}": v for k, v in self.front.state_dict().items()}
        return save_model(folder, "generator", tensors, self.config)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Return the generator that `save` wrote."""
        tensors, config = load_model(folder, "generator", device)
        if config.get("method") != "gelda" or config.get("format") != FORMAT:
            raise ValueError(f"{folder.name} holds no GeLDA generator of format {FORMAT}")
        state, latents, front_state = (
            {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
            for part in ("flow.", "latents.", "front.")
        )
        given = config["vectors"] is not None, config["subdomain_vectors"] is not None
        flow = make_flow(
            config,
            state["conditioning.classes.table.weight"] if given[0] else None,
            state["conditioning.subdomains.table.weight"] if given[1] else None,
        ).to(device)
        flow.load_state_dict(state)
        front = Front.restore(config["front"], front_state).to(device)
        return cls(flow, Latents(**latents), front, config)


def make_flow(
    config: dict[str, Any], vectors: Tensor | None, subdomain_vectors: Tensor | None
) -> Flow:
    """Return an untrained flow of a generator's config; its vectors are learned where None."""
    network = config["denoiser"]
    width = network["width"]
    denoiser = Denoiser(config["front"]["dim"], width, network["blocks"], network["dropout"])
    sizes = len(config["classes"]), len(config["subdomains"])
    return Flow(denoiser, Conditioning(*sizes, width, vectors, subdomain_vectors))


def item_noise(seed: int, dim: int) -> np.ndarray:
    """Return (dim,) standard normal float32 from a uint64.

    Not from torch's CPU generator, which keeps 32 bits of a seed: among 100,000 items two would be
    the same.
    """
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal(dim, dtype=np.float32)

"""GeLDA: train a conditional flow on latents, and draw from it.

Source: Bae & Kim 2026, *Semantics-Aware Generative Latent Data Augmentation*. A class of few rows
borrows from the others twice: its mean is shrunk to what classes of like vectors suggest, and the
spread around it is learnt from the residuals of all classes, conditioned on the vectors.
"""

import copy
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from models.checkpoints import load_model, save_model
from models.errors import InputProblem, Interrupted
from models.front.front import Front
from models.gelda import latents as moments
from models.gelda import training
from models.gelda.conditioning import similarity
from models.gelda.flow import Flow
from models.gelda.latents import Latents
from models.gelda.plan import derived_seed, item_seed
from models.gelda.rows import Rows
from models.gelda.samplers import SOLVERS, uniform_times
from models.gelda.spec import DenoiserSpec, GeldaSpec, ObjectiveSpec, SamplerSpec

FORMAT = 2
"""Version of a generator's files."""


def train(
    x: np.ndarray,
    y: np.ndarray,
    *,
    classes: Sequence[str],
    vectors: np.ndarray | None,
    spec: GeldaSpec,
    seed: int,
    scratch: Path,
    front: Front,
    device: str = "cpu",
    resume: Path | None = None,
    on_progress: Callable[[int, int, float], None] = lambda _step, _steps, _loss: None,
    on_checkpoint: Callable[[Path, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    batch_size: int | None = None,
) -> "Generator":
    """Train a generator; equal arguments give equal weights, interrupted and resumed or not.

    Args:
        x: (n, dim_in) embeddings, any float type, may be memory-mapped; read a chunk at a time.
        y: (n,) int64 indices into ``classes``.
        classes: names; one without rows can be drawn if it has a vector.
        vectors: (K, m) class vectors in the order of ``classes``, where they come from the caller
            or from names. They are used whatever ``spec.classes`` says.
        spec: network, objective and how latents are modelled.
        seed: of weights and of everything drawn in training.
        scratch: folder for checkpoint files.
        front: fitted; makes the latents Z^(l) of the embeddings.
        device: a torch device.
        resume: a checkpoint of the same training, as given to ``on_checkpoint``.
        on_progress: called with step, steps and mean loss.
        on_checkpoint: called with a checkpoint's file, which may be moved away, and its step.
        should_stop: asked before every step.
        batch_size: rows through the network at once, where memory is short. The rows of an
            optimiser step stay ``spec.objective.batch_size``.

    Raises:
        InputProblem: the rows or vectors cannot be used.
        Interrupted: ``should_stop`` said so, after a last checkpoint.
    """
    table = _vectors(vectors, spec, len(classes))
    counts = _class_counts(x, y, classes, learned=table is None)
    related = similarity(torch.eye(len(classes)) if table is None else table)
    rows = Rows(x, np.asarray(y, dtype=np.int64), copy.deepcopy(front).to(device))
    latents = moments.fit(rows, len(classes), related, spec.latents).to(device)
    denoiser, objective = resolve(spec, n=len(x), dim=front.dim)
    usable = bool((latents.gain.cpu()[counts > 0] > 0).any())
    assert objective.steps is not None
    config = {
        "method": "gelda",
        "format": FORMAT,
        "classes": list(classes),
        "class_counts": {name: int(n) for name, n in zip(classes, counts, strict=True)},
        "dim": front.dim_in if front.invertible else front.dim,
        "front": front.config,
        "seed": seed,
        "vectors": None if table is None else spec.classes.source,
        "latents": spec.latents.model_dump(mode="json"),
        "denoiser": denoiser.model_dump(mode="json"),
        "objective": objective.model_dump(mode="json"),
        "sampler": spec.sampler.model_dump(mode="json"),
        # Equal bytes are promised for equal versions and threads alone, so they are told.
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }
    with torch.random.fork_rng(devices=[]):  # initialisers know the global generator only
        torch.manual_seed(derived_seed("weights", seed))
        flow = _flow(config, table)
    run = training.fit(
        flow,
        latents,
        rows,
        spec=objective,
        steps=objective.steps if usable else 0,
        seed=seed,
        micro_batch=min(batch_size or objective.batch_size, objective.batch_size),
        settings=config,
        resume=resume,
        watch=training.Watch(
            on_progress=on_progress,
            on_checkpoint=on_checkpoint,
            should_stop=should_stop,
            scratch=scratch,
        ),
    )
    flow.load_state_dict(run.average, strict=False)  # all but the caller's vectors, which stay
    return Generator(flow, latents, rows.front, config | {"history": run.history})


def resolve(spec: GeldaSpec, *, n: int, dim: int) -> tuple[DenoiserSpec, ObjectiveSpec]:
    """Return network and objective with every default that depends on the data filled in."""
    width = spec.denoiser.width or min(1536, max(256, 2 * dim))
    blocks = spec.denoiser.blocks or (3 + sum(n >= step for step in (30_000, 100_000, 300_000)))
    steps = spec.objective.steps or round(min(100_000, max(500, 10 * math.sqrt(n))))
    return (
        spec.denoiser.model_copy(update={"width": width, "blocks": blocks}),
        spec.objective.model_copy(update={"steps": steps}),
    )


class Generator:
    """A trained generator.

    Attributes:
        classes: names of the classes, in the order of the labels that `sample` takes.
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
        self.dim: int = config["dim"]

    def sample(
        self,
        labels: np.ndarray,
        counters: np.ndarray,
        *,
        seed: int,
        sampler: SamplerSpec,
        space: Literal["embedding", "latent"] = "embedding",
        batch_size: int = 1024,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> np.ndarray:
        """Return (n, dim) float32 rows, one for each label and counter.

        An item depends on ``seed``, its class and its counter within the class alone, not on what is
        drawn beside it. Batches are always full, the last one padded: equal bytes for equal batches,
        and equal up to rounding however the items are cut into calls.

        Args:
            labels: (n,) int64 indices into `classes`.
            counters: (n,) int64 numbers of the items within their class.
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
        labels = np.asarray(labels, dtype=np.int64)
        dim = self.front.dim
        to_embedding = space == "embedding" and self.front.invertible
        out = np.empty((len(labels), self.dim if to_embedding else dim), dtype=np.float32)
        for start in range(0, len(labels), batch_size):
            if should_stop():
                raise Interrupted(f"stopped after {start} of {len(labels)} latents")
            rows = slice(start, min(start + batch_size, len(labels)))
            filled = rows.stop - rows.start
            batch = np.zeros(batch_size, dtype=np.int64)
            batch[:filled] = labels[rows]
            noise = np.zeros((batch_size, dim), dtype=np.float32)
            for i, (label, counter) in enumerate(zip(labels[rows], counters[rows], strict=True)):
                noise[i] = item_noise(item_seed(seed, int(label), int(counter)), dim)
            z = self._solve(batch, noise, sampler)
            out[rows] = (self.front.inverse(z) if to_embedding else z).cpu().numpy()[:filled]
            on_progress(rows.stop, len(labels))
        return out

    @torch.inference_mode()
    def _solve(self, labels: np.ndarray, noise: np.ndarray, sampler: SamplerSpec) -> Tensor:
        device = self._latents.mean.device
        y = torch.from_numpy(labels).to(device)
        x_1 = torch.from_numpy(noise).to(device) * math.sqrt(sampler.temperature)
        model = self._flow.model(y, sampler.guidance)
        r = SOLVERS[sampler.name](model, x_1, uniform_times(sampler.steps, device))
        return self._latents.inverse(r, y)

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
        flow_state, own, front_state = (
            {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
            for part in ("flow.", "latents.", "front.")
        )
        table = None
        if config["vectors"] is not None:
            table = flow_state["conditioning.table.weight"]
        flow = _flow(config, table).to(device)
        flow.load_state_dict(flow_state)
        front = Front.restore(config["front"], front_state).to(device)
        return cls(flow, Latents(**own), front, config)


def item_noise(seed: int, dim: int) -> np.ndarray:
    """Return (dim,) standard normal float32 from a uint64.

    Not from torch's CPU generator, which keeps 32 bits of a seed: among 100,000 items two would be
    the same.
    """
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal(dim, dtype=np.float32)


def _flow(config: dict[str, Any], vectors: Tensor | None) -> Flow:
    network = config["denoiser"]
    return Flow(
        config["front"]["dim"],
        len(config["classes"]),
        vectors,
        width=network["width"],
        blocks=network["blocks"],
        p=network["dropout"],
    )


def _vectors(vectors: np.ndarray | None, spec: GeldaSpec, n_classes: int) -> Tensor | None:
    """Return the (K, m) class vectors to condition on; None where they are learned."""
    if vectors is None and spec.classes.source == "one_hot":
        return torch.eye(n_classes)
    if vectors is None:
        if spec.classes.source != "learned":
            raise ValueError(
                f"classes.source is {spec.classes.source!r}, but no vectors were given"
            )
        return None
    if vectors.ndim != 2 or len(vectors) != n_classes:
        raise InputProblem(
            "class_vectors_mismatch",
            f"expected one vector for each of the {n_classes} classes; found an array of shape "
            f"{list(vectors.shape)}",
            "classes",
        )
    table = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
    if not bool(table.isfinite().all()):
        row = int(np.argmax(~np.isfinite(vectors).all(axis=1)))
        raise InputProblem("non_finite_values", f"class vector {row} is not finite", "classes")
    return table


def _class_counts(
    x: np.ndarray, y: np.ndarray, classes: Sequence[str], *, learned: bool
) -> np.ndarray:
    """Return training rows a class, (K,)."""
    if len(x) == 0:
        raise InputProblem("empty_dataset", "there are no training rows", "dataset")
    counts = np.bincount(np.asarray(y, dtype=np.int64), minlength=len(classes))
    if learned and not counts.all():
        name = classes[int(np.argmin(counts))]
        raise InputProblem(
            "class_without_rows",
            f"class {name!r} has no training row; give class vectors that carry semantics "
            "(classes.source names or upload) to draw a class that was never seen",
            "classes",
        )
    return counts

"""GeLDA: train a conditional flow on latents Z^(l), and draw from it.

Source: Bae & Kim 2026, *Semantics-Aware Generative Latent Data Augmentation*. A cell of few rows, or
of none, borrows from the others twice: its mean is shrunk to what its class elsewhere, its subdomain
and classes of like vectors suggest, and the spread around it is learnt from the residuals of all
cells, conditioned on the vectors.
"""

import copy
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.errors import InputProblem
from models.front.front import Front
from models.gelda import latents as whitening
from models.gelda import training
from models.gelda.conditioning import similarity
from models.gelda.flow import Flow
from models.gelda.generator import FORMAT, Generator, item_noise, make_flow
from models.gelda.held_out import HeldOut
from models.gelda.moments import Moments
from models.gelda.rows import Rows
from models.gelda.spec import DenoiserSpec, GeldaSpec, ObjectiveSpec
from models.gelda.vectors import mean_vectors, refuse_absent, table
from models.seeds import derived_seed
from models.watch import Watch

__all__ = ["Generator", "item_noise", "resolve", "train"]

HeldOutRows = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Embeddings, class indices and, with subdomains, subdomain indices of held-out rows."""


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
    subdomain: np.ndarray | None = None,
    subdomains: Sequence[str] = (),
    subdomain_vectors: np.ndarray | None = None,
    posterior: np.ndarray | None = None,
    held_out: HeldOutRows | None = None,
    device: str = "cpu",
    resume: Path | None = None,
    on_progress: Callable[[int, int, float], None] = lambda _step, _steps, _loss: None,
    on_checkpoint: Callable[[Path, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    batch_size: int | None = None,
) -> Generator:
    """Train a generator; equal arguments give equal weights, interrupted and resumed or not.

    Args:
        x: (n, dim_in) embeddings, any float type, may be memory-mapped; read a chunk at a time.
        y: (n,) int64 indices into ``classes``; −1 where the class is not known.
        classes: K names; one without rows can be drawn if it has a vector.
        vectors: (K, m) class vectors in the order of ``classes``, where they come from the caller
            or from names. They are used whatever ``spec.classes`` says.
        spec: network, objective and how latents are modelled.
        seed: of weights and of everything drawn in training.
        scratch: folder for checkpoint files.
        front: fitted; makes the latents Z^(l) of the embeddings.
        subdomain: (n,) int64 indices into ``subdomains``.
        subdomains: S names; without them classes alone are conditioned on.
        subdomain_vectors: (S, m') vectors, as for classes; for ``spec.subdomains`` of source
            ``means`` they are computed here.
        posterior: (rows with y = −1, K) shares of the classes in these rows, in their order.
        held_out: rows on which the loss is watched for ``objective.patience``.
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
    rows = Rows(
        x=x,
        y=np.asarray(y, dtype=np.int64),
        subdomain=_indices(subdomain, subdomains, len(x)),
        front=copy.deepcopy(front).to(device),
        n_classes=len(classes),
        n_subdomains=max(1, len(subdomains)),
        posterior=posterior,
    )
    _refuse_unusable(rows)
    fitted = _Fitted.of(rows, classes, subdomains, vectors, subdomain_vectors, spec)
    denoiser, objective = resolve(spec, n=len(x), dim=front.dim)
    config = _config(rows, fitted, classes, subdomains, spec) | {
        "seed": seed,
        "denoiser": denoiser.model_dump(mode="json"),
        "objective": objective.model_dump(mode="json"),
    }
    with torch.random.fork_rng(devices=[]):  # initialisers know the global generator only
        torch.manual_seed(derived_seed("weights", seed))
        flow = make_flow(config, fitted.vectors, fitted.subdomain_vectors)
    latents = fitted.latents.to(device)
    run = training.fit(
        flow,
        latents,
        rows,
        spec=objective,
        seed=seed,
        micro_batch=min(batch_size or objective.batch_size, objective.batch_size),
        settings=config | {"inputs": _digest(rows, fitted, held_out)},
        held_out=_watched(held_out, rows, latents, flow, objective, seed),
        resume=resume,
        watch=Watch(
            on_progress=on_progress,
            on_checkpoint=on_checkpoint,
            should_stop=should_stop,
            scratch=scratch,
        ),
    )
    flow.load_state_dict(run.result)
    found = {"history": run.history, "held_out_history": run.best.curve}
    return Generator(flow, latents, rows.front, config | found)


def resolve(spec: GeldaSpec, *, n: int, dim: int) -> tuple[DenoiserSpec, ObjectiveSpec]:
    """Return network and objective with every default that depends on the data filled in."""
    width = spec.denoiser.width or min(1536, max(256, 2 * dim))
    blocks = spec.denoiser.blocks or (3 + sum(n >= step for step in (30_000, 100_000, 300_000)))
    steps = spec.objective.steps or round(min(100_000, max(500, 10 * math.sqrt(n))))
    return (
        spec.denoiser.model_copy(update={"width": width, "blocks": blocks}),
        spec.objective.model_copy(update={"steps": steps}),
    )


@dataclass(frozen=True)
class _Fitted:
    """What is known before the first step: vectors (None where learned) and the latents' moments."""

    vectors: Tensor | None
    subdomain_vectors: Tensor | None
    latents: whitening.Latents
    estimate: str | None

    @classmethod
    def of(
        cls,
        rows: Rows,
        classes: Sequence[str],
        subdomains: Sequence[str],
        vectors: np.ndarray | None,
        subdomain_vectors: np.ndarray | None,
        spec: GeldaSpec,
    ) -> "_Fitted":
        """Check and complete the vectors, and fit the moments."""
        gamma = table(vectors, spec.classes.source, len(classes), "classes")
        counts = rows.counts.reshape(rows.n_classes, rows.n_subdomains)
        if gamma is None:
            refuse_absent(classes, counts.sum(axis=1), "class", "classes")
        moments = Moments.of(rows)
        kappa = _subdomain_table(subdomain_vectors, spec, subdomains, moments)
        latents, estimate = whitening.fit(
            rows,
            moments,
            similarity(torch.eye(len(classes)) if gamma is None else gamma),
            similarity(torch.eye(rows.n_subdomains) if kappa is None else kappa),
            spec.latents,
        )
        return cls(gamma, kappa, latents, estimate)


def _subdomain_table(
    vectors: np.ndarray | None, spec: GeldaSpec, subdomains: Sequence[str], moments: Moments
) -> Tensor | None:
    if not subdomains:
        return None
    source = "learned" if spec.subdomains is None else spec.subdomains.source
    if vectors is None and source == "means":
        found: Tensor | None = mean_vectors(moments)
    else:
        found = table(vectors, source, len(subdomains), "subdomains")
    if vectors is None and source in {"learned", "means"}:
        refuse_absent(subdomains, moments.subdomain_counts.numpy(), "subdomain", "subdomains")
    return found


def _config(
    rows: Rows,
    fitted: _Fitted,
    classes: Sequence[str],
    subdomains: Sequence[str],
    spec: GeldaSpec,
) -> dict[str, Any]:
    counts = rows.counts.reshape(rows.n_classes, rows.n_subdomains)
    kappa = None if spec.subdomains is None else spec.subdomains.source
    return {
        "method": "gelda",
        "format": FORMAT,
        "classes": list(classes),
        "subdomains": list(subdomains),
        "class_counts": dict(zip(classes, counts.sum(axis=1).tolist(), strict=True)),
        "cell_counts": counts.ravel().tolist(),
        "unlabelled": int((rows.y < 0).sum()),
        "dim": rows.front.dim_in if rows.front.invertible else rows.front.dim,
        "front": rows.front.config,
        "vectors": None if fitted.vectors is None else spec.classes.source,
        "subdomain_vectors": None if fitted.subdomain_vectors is None else kappa or "given",
        "latents": spec.latents.model_dump(mode="json"),
        "estimate": fitted.estimate,
        "sampler": spec.sampler.model_dump(mode="json"),
        # Equal bytes are promised for equal versions and threads alone, so they are told.
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }


def _indices(subdomain: np.ndarray | None, subdomains: Sequence[str], n: int) -> np.ndarray:
    """Return the rows' subdomain indices, zeros without subdomains."""
    if (subdomain is None) != (len(subdomains) == 0):
        raise ValueError("subdomain indices and subdomain names go together")
    return np.zeros(n, dtype=np.int64) if subdomain is None else np.asarray(subdomain, np.int64)


def _refuse_unusable(rows: Rows) -> None:
    unlabelled = int((rows.y < 0).sum())
    if len(rows) == unlabelled:
        raise InputProblem("empty_dataset", "there are no labelled training rows", "dataset")
    shares = None if rows.posterior is None else rows.posterior.shape
    if shares != ((unlabelled, rows.n_classes) if unlabelled else shares):
        raise ValueError(
            f"{unlabelled} unlabelled rows of {rows.n_classes} classes; posterior of shape {shares}"
        )


def _watched(
    given: HeldOutRows | None,
    rows: Rows,
    latents: whitening.Latents,
    flow: Flow,
    spec: ObjectiveSpec,
    seed: int,
) -> HeldOut | None:
    """Return the held-out rows to look at; None where there are none or nobody asks."""
    if given is None or len(given[0]) == 0 or spec.patience is None:
        return None
    x, y, subdomain = given
    if (np.asarray(y) < 0).any():
        raise ValueError("held-out rows need labels")
    held_out = Rows(
        x=x,
        y=np.asarray(y, dtype=np.int64),
        subdomain=np.zeros(len(x), np.int64) if subdomain is None else np.asarray(subdomain),
        front=rows.front,
        n_classes=rows.n_classes,
        n_subdomains=rows.n_subdomains,
    )
    return HeldOut(held_out, latents, flow, spec, seed)


def _digest(rows: Rows, fitted: _Fitted, held_out: HeldOutRows | None) -> str:
    """Return a digest of the arguments that the config does not hold."""
    known = hashlib.blake2b(digest_size=16)
    for tensor in (
        fitted.vectors,
        fitted.subdomain_vectors,
        *rows.front.state_dict().values(),
    ):
        known.update(b"-" if tensor is None else tensor.cpu().contiguous().numpy().tobytes())
    for array in (rows.posterior, None if held_out is None else held_out[1]):
        known.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return known.hexdigest()

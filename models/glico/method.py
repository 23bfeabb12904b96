"""GLICO: a code for each training image and a generator, learned jointly.

Source: Azuri & Weinshall 2020, *Learning from Small Data Through Sampling an Implicit Conditional
Generative Latent Optimization Model*. Only training images ever have codes.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.errors import InputProblem
from models.glico import training
from models.glico.decoder import Auxiliary, Decoder
from models.glico.generator import FORMAT, Drawn, Generator, cross_fade
from models.glico.losses import Distance, laplacian
from models.glico.spec import GlicoSpec, ReconstructionSpec
from models.memory_format import channels_last
from models.precision import resolve as precise
from models.seeds import derived_seed
from models.watch import Watch

__all__ = ["Drawn", "Generator", "cross_fade", "resolve", "train"]


def train(
    x: npt.NDArray[np.uint8],
    y: npt.NDArray[np.int64],
    *,
    classes: Sequence[str],
    spec: GlicoSpec,
    seed: int,
    scratch: Path,
    distance: Distance = laplacian,
    loss_name: str = "laplacian",
    device: str = "cpu",
    resume: Path | None = None,
    on_progress: Callable[[int, int, float], None] = lambda _step, _steps, _loss: None,
    on_checkpoint: Callable[[Path, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    batch_size: int | None = None,
) -> Generator:
    """Train a generator; equal arguments give equal weights, interrupted and resumed or not.

    Args:
        x: (n, side, side, 3) training images.
        y: (n,) indices into ``classes``.
        classes: K names; one without images cannot be drawn.
        spec: decoder and reconstruction.
        seed: of weights, codes and everything drawn in training.
        scratch: folder for checkpoint files.
        distance: of reconstructions; `perceptual.load` makes another one.
        loss_name: what `config` calls it.
        device: a torch device.
        resume: a checkpoint of the same training, as given to ``on_checkpoint``.
        on_progress: called with step, steps and mean loss.
        on_checkpoint: called with a checkpoint's file, which may be moved away, and its step.
        should_stop: asked before every step.
        batch_size: images through the network at once, where memory is short. The images of an
            optimiser step stay those of the spec.

    Raises:
        InputProblem: there is no class of two images, or the loss is no longer finite.
        Interrupted: ``should_stop`` said so, after a last checkpoint.
    """
    y = np.asarray(y, dtype=np.int64)
    counts = np.bincount(y, minlength=len(classes))
    if not (counts > 1).any():
        raise InputProblem(
            "too_few_images",
            f"No class has two training images ({len(y)} in {len(classes)} classes); an image is made of "
            "two of one class.",
            "dataset",
        )
    side = x.shape[1]
    settings = resolve(spec.reconstruction, n=len(x), side=side, device=device)
    config = _config(classes, counts, side, spec, settings, seed, loss_name)
    with torch.random.fork_rng(devices=[]):  # initialisers know the global generator only
        torch.manual_seed(derived_seed("weights", seed))
        decoder = Decoder(spec.decoder, side, len(classes)).to(device)
        auxiliary = Auxiliary(len(classes)).to(device)
    if device != "cpu":
        channels_last(decoder)
    images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(device)
    labels = torch.from_numpy(y).to(device)
    plan = _plan(settings, seed, batch_size)
    digest = hashlib.blake2b(images.cpu().numpy().tobytes(), digest_size=16)
    digest.update(y.tobytes())
    digest.update(repr(sorted(config.items())).encode())
    run = training.start(decoder, auxiliary, len(x), plan, digest.hexdigest())
    if resume is not None:
        run.restore(resume)
    watch = Watch(
        on_progress=on_progress,
        on_checkpoint=on_checkpoint,
        should_stop=should_stop,
        scratch=scratch,
    )
    training.fit(run, images, labels, distance, plan, watch)
    codes = run.codes.weight.detach()
    return Generator(
        decoder, codes, images, labels, config | {"history": [list(point) for point in run.history]}
    )


def resolve(
    spec: ReconstructionSpec, *, n: int, side: int, device: str = "cpu"
) -> ReconstructionSpec:
    """Return the spec with every default that depends on data and machine filled in."""
    batch = spec.batch_size or (64 if side <= 32 else 32)
    steps = spec.steps or round(min(50_000, max(1000, 60 * math.sqrt(n)) * max(1, side / 32)))
    precision = precise(spec.precision, device)
    return spec.model_copy(update={"batch_size": batch, "steps": steps, "precision": precision})


def _plan(settings: ReconstructionSpec, seed: int, batch_size: int | None) -> training.Plan:
    assert settings.steps is not None  # `resolve` fills both
    assert settings.batch_size is not None
    return training.Plan(
        steps=settings.steps,
        batch_size=settings.batch_size,
        micro_batch=min(batch_size or settings.batch_size, settings.batch_size),
        code_rate=settings.code_rate,
        generator_rate=settings.generator_rate,
        classifier_weight=settings.classifier_weight,
        checkpoint_steps=settings.checkpoint_steps,
        seed=seed,
        precision="bfloat16" if settings.precision == "bfloat16" else "float32",
    )


def _config(
    classes: Sequence[str],
    counts: npt.NDArray[np.int64],
    side: int,
    spec: GlicoSpec,
    settings: ReconstructionSpec,
    seed: int,
    loss_name: str,
) -> dict[str, Any]:
    return {
        "method": "glico",
        "format": FORMAT,
        "classes": list(classes),
        "subdomains": [],
        "class_counts": dict(zip(classes, counts.tolist(), strict=True)),
        "cell_counts": counts.tolist(),
        "side": side,
        "decoder": spec.decoder.model_dump(mode="json"),
        "reconstruction": settings.model_dump(mode="json"),
        "loss": loss_name,
        "interpolation": spec.interpolation.model_dump(mode="json"),
        "seed": seed,
        # Equal bytes are promised for equal versions and threads alone, so they are told.
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }

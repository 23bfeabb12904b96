"""Training of classifiers on images: checkpoints that resume bit for bit, the same steps for every arm.

Every random number of a step comes from (seed, step), so a resumed run repeats an uninterrupted one
without any generator's state having to be kept.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.errors import InputProblem, Interrupted
from models.images.batches import Batches, Source
from models.images.classifier import ImageClassifier, Images, Normalised
from models.images.networks import make_network
from models.images.run import Run
from models.images.spec import ImageClassifierSpec
from models.precision import resolve
from models.seeds import derived_seed

__all__ = ["Source", "fit"]

HISTORY_POINTS = 100
"""Points of the training curve that are kept."""

LEAST_SPREAD = 1 / 255
"""Of a channel, as a standard deviation: images of one colour are not divided by zero."""


def fit(
    x: Images,
    y: npt.NDArray[np.int64],
    n_classes: int,
    spec: ImageClassifierSpec,
    seed: int,
    *,
    source: Source | None = None,
    probability: float = 0.0,
    classes: Sequence[str] = (),
    device: str = "cpu",
    resume: Path | None = None,
    scratch: Path | None = None,
    on_progress: Callable[[int, int, float], None] = lambda _step, _steps, _loss: None,
    on_checkpoint: Callable[[Path, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    batch_rows: int | None = None,
) -> ImageClassifier:
    """Train a classifier; equal arguments give equal weights, interrupted and resumed or not.

    Args:
        x: uint8 (n, side, side, 3) real images.
        y: int64 (n,) classes; one may have no image, and has a logit all the same.
        n_classes: K.
        spec: network, budget and augmentation.
        seed: of weights, batches, coins and everything else that is drawn. Runs of equal seeds see
            the same real images, coins and shifts, whatever their source.
        source: of synthetic images.
        probability: of each image of a batch to come from ``source``, by a coin of its own.
        classes: K names, or none.
        device: a torch device.
        resume: a checkpoint of the same training, as given to ``on_checkpoint``.
        scratch: folder for checkpoint files; needed for ``on_checkpoint``.
        on_progress: called with step, steps and the mean loss since the last call.
        on_checkpoint: called with a checkpoint's file, which may be moved away, and its step.
        should_stop: asked before every step.
        batch_rows: images through the network at once, where memory is short. The images of a step
            stay ``spec.batch_size``; BatchNorm's statistics are then of fewer.

    Raises:
        InputProblem: ``empty_dataset``; ``training_diverged``: the loss is no longer finite; or a
            backbone that cannot be had.
        Interrupted: ``should_stop`` said so, after a last checkpoint.
        ValueError: the arguments do not fit each other, or the checkpoint is of another training.
    """
    _refuse_misfits(x, y, n_classes, source, probability)
    if on_checkpoint is not None and scratch is None:
        raise ValueError("checkpoints need a folder: `scratch`")
    batches, model = _prepared(x, y, n_classes, spec, seed, source, probability, device)
    settings = {
        "spec": spec.model_dump(mode="json"),
        "seed": seed,
        "n_classes": n_classes,
        "probability": probability if source is not None else 0.0,
        "data": _digest(x, y),
        "backbone": model.network.config,
        "precision": resolve(spec.precision, device),
    }
    fingerprint = json.dumps(settings, sort_keys=True)
    run = Run.start(model, spec, fingerprint, resolve(spec.precision, device))
    if resume is not None:
        run.restore(resume)
    report_every = max(1, spec.steps // HISTORY_POINTS)
    model.train()
    while run.step < spec.steps:
        if should_stop():
            _checkpoint(run, scratch, on_checkpoint)
            raise Interrupted(f"stopped before step {run.step + 1} of {spec.steps}")
        rate = spec.peak_rate * 0.5 * (1 + math.cos(math.pi * run.step / spec.steps))
        run.learn(batches.at(run.step), rate, batch_rows or spec.batch_size)
        if run.step % report_every == 0 or run.step == spec.steps:
            on_progress(run.step, spec.steps, run.report())
        if run.step % spec.checkpoint_steps == 0 and run.step < spec.steps:
            _checkpoint(run, scratch, on_checkpoint)
    return ImageClassifier(model, classes=classes, side=x.shape[1], spec=spec, history=run.history)


def _prepared(
    x: Images,
    y: npt.NDArray[np.int64],
    n_classes: int,
    spec: ImageClassifierSpec,
    seed: int,
    source: Source | None,
    probability: float,
    device: str,
) -> tuple[Batches, Normalised]:
    """Return the batches of a training and its untrained model, all on the device."""
    mean, std = _spread(x)
    with torch.random.fork_rng(devices=[]):  # initialisers know the global generator only
        torch.manual_seed(derived_seed("weights", seed))
        model = _model(spec, n_classes, x.shape[1], mean, std)
    # On a CPU, too, convolutions are faster with a pixel's channels side by side.
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = Batches(
        x=torch.from_numpy(np.ascontiguousarray(x)).to(device),
        y=torch.from_numpy(np.asarray(y, dtype=np.int64)).to(device),
        n_classes=n_classes,
        fill=mean,
        spec=spec,
        seed=seed,
        source=source,
        probability=probability,
    )
    return batches, model


def _model(
    spec: ImageClassifierSpec, n_classes: int, side: int, mean: Tensor, std: Tensor
) -> Normalised:
    """Return an untrained network behind ``mean`` and ``std``, or a backbone behind its own."""
    if spec.backbone is None:
        return Normalised(make_network(spec, n_classes, side), mean, std)
    # transformers takes seconds to import, which only those who want it wait for.
    from models.images.backbone import load_backbone  # noqa: PLC0415

    return Normalised(*load_backbone(spec.backbone, n_classes, "classifier.backbone"))


def _spread(x: Images) -> tuple[Tensor, Tensor]:
    """Return (3,) mean and standard deviation of the channels, in [0, 1], from exact counts."""
    counts = np.stack([np.bincount(x[..., channel].ravel(), minlength=256) for channel in range(3)])
    values, share = np.arange(256) / 255, counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1)).clip(min=LEAST_SPREAD)
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


def _checkpoint(
    run: Run, scratch: Path | None, on_checkpoint: Callable[[Path, int], None] | None
) -> None:
    if on_checkpoint is not None and scratch is not None:
        on_checkpoint(run.save(scratch / f"checkpoint-{run.step:07d}.safetensors"), run.step)


def _refuse_misfits(
    x: Images,
    y: npt.NDArray[np.int64],
    n_classes: int,
    source: Source | None,
    probability: float,
) -> None:
    if not len(x):
        raise InputProblem("empty_dataset", "there are no labelled training images", "dataset")
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1] != x.shape[2] or x.shape[3] != 3:
        raise ValueError(
            f"expected uint8 images of shape (n, side, side, 3), found {x.dtype} of {x.shape}"
        )
    if y.shape != (len(x),) or y.min() < 0 or y.max() >= n_classes:
        raise ValueError(f"expected {len(x)} classes from 0 to {n_classes - 1}")
    if probability > 0 and source is None:
        raise ValueError(f"a probability of {probability:g} needs a source of synthetic images")


def _digest(x: Images, y: npt.NDArray[np.int64]) -> str:
    known = hashlib.blake2b(digest_size=16)
    for array in (x, y):
        known.update(np.ascontiguousarray(array).data)
    return known.hexdigest()

"""Runs of few-shot image classification: each is trained once, kept as a file, and read again afterwards."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from models.glico.method import Generator, cross_fade, train
from models.glico.spec import GlicoSpec, InterpolationSpec
from models.images.scoring import log_score
from models.images.spec import ImageClassifierSpec
from models.images.train import Source, fit

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FewShot:
    """Images in three parts; training sets are cut from the first, disjoint from one another."""

    x: Images
    y: Labels
    x_val: Images
    y_val: Labels
    x_test: Images
    y_test: Labels
    classes: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an npz with ``x, y, x_val, y_val, x_test, y_test, classes``."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        classes = tuple(map(str, arrays.pop("classes")))
        labels = {name: arrays.pop(name).astype(np.int64) for name in ("y", "y_val", "y_test")}
        return cls(**arrays, **labels, classes=classes)

    def subset(self, shots: int, seed: int) -> Labels:
        """Return the numbers of the training images of a seed: ``shots`` of each class."""
        rows = [np.flatnonzero(self.y == label) for label in range(len(self.classes))]
        if min(map(len, rows)) < shots * (seed + 1):
            raise SystemExit(
                f"seed {seed} at {shots} a class needs {shots * (seed + 1)} images of each; "
                f"found {min(map(len, rows))}"
            )
        return np.concatenate([one[shots * seed : shots * (seed + 1)] for one in rows])


@dataclass(frozen=True)
class Setting:
    """What one training is told; runs of equal settings are one run.

    Attributes:
        classifier: changes to the benchmark's `ImageClassifierSpec`, as JSON.
        probability: of an image to be synthetic.
        source: `none`, `glico`, or `fade` for the pixels of the same pairs.
        interpolation: changes to `InterpolationSpec`.
        generator: changes to the benchmark's `GlicoSpec`, by part.
    """

    classifier: Mapping[str, Any] = field(default_factory=dict)
    probability: float = 0.0
    source: str = "none"
    interpolation: Mapping[str, Any] = field(default_factory=dict)
    generator: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ran:
    """What came of a run.

    Attributes:
        on_test: predictions, `n`.
        corrupted: predictions on every `THIN`th test image after each of `CORRUPTIONS`.
        score: `log_score` on validation images.
        accuracy: on them, 0 to 1.
        seconds: of training; the generator's are its own.
        generator_seconds: of the generator, 0 without one.
        novelty: median distance of samples to the nearest training image of their class, as a multiple of
            held-out images' own; None without samples.
        diversity: mean distance between two samples of a class, as a multiple of training images' own.
    """

    on_test: Labels
    corrupted: Labels
    score: float
    accuracy: float
    seconds: float
    generator_seconds: float = 0.0
    novelty: float | None = None
    diversity: float | None = None


def _noise(x: Images) -> Images:
    drawn = np.random.default_rng(0).normal(0, 20, x.shape)
    return np.asarray(np.clip(x + drawn, 0, 255), dtype=np.uint8)


def _blur(x: Images) -> Images:
    wide = np.pad(x.astype(np.float32), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    side = x.shape[1]
    moved = [wide[:, i : i + side, j : j + side] for i in range(5) for j in range(5)]
    return np.asarray((np.sum(moved, axis=0) / 25).round(), dtype=np.uint8)


def _contrast(x: Images) -> Images:
    middle = x.mean(axis=(1, 2, 3), keepdims=True)
    return np.asarray(np.clip(middle + 0.35 * (x - middle), 0, 255).round(), dtype=np.uint8)


CORRUPTIONS: Mapping[str, Callable[[Images], Images]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
}
"""Gaussian noise of 20 grey levels, a 5 × 5 mean, 35 % of the contrast."""

THIN = 3


@dataclass(frozen=True)
class Job:
    """One run, as a process of its own is told it."""

    data: FewShot
    folder: Path
    shots: int
    seed: int
    setting: Setting
    classifier: ImageClassifierSpec
    glico: GlicoSpec

    @property
    def path(self) -> Path:
        """Where the run is kept."""
        return self.folder / f"{self._name('run', asdict(self.setting))}.npz"

    @property
    def generator_path(self) -> Path:
        """Where its generator is kept."""
        return self.folder / self._name("generator", dict(self.setting.generator))

    @property
    def glico_spec(self) -> GlicoSpec:
        """The generator's spec."""
        whole = self.glico.model_dump(mode="json")
        for part, changes in self.setting.generator.items():
            whole[part] |= changes
        return GlicoSpec.model_validate(whole)

    def _name(self, kind: str, told: Mapping[str, Any]) -> str:
        fixed = self.glico if kind == "generator" else self.classifier
        text = json.dumps([told, fixed.model_dump(mode="json")], sort_keys=True, default=dict)
        digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
        return f"{kind}-{self.shots}-{self.seed}-{digest}"


def run_all(
    jobs: Iterable[Job], processes: int, on_progress: Callable[[int, int], None]
) -> dict[Path, Ran]:
    """Return what came of each job by its path: read where it is kept, trained where it is not.

    Generators come first, since many runs share one.
    """
    wanted = {job.path: job for job in jobs}
    missing = [job for job in wanted.values() if not job.path.exists()]
    generators = {job.generator_path: job for job in missing if job.setting.source == "glico"}
    first = [job for path, job in generators.items() if not path.exists()]
    total, done = len(first) + len(missing), 0
    for function, part in ((_generate, first), (_run, missing)):
        for _ in _spread(function, part, processes):
            done += 1
            on_progress(done, total)
    return {path: _read(path) for path in wanted}


def _spread(function: Callable[[Job], None], jobs: list[Job], processes: int) -> Iterable[None]:
    if processes == 1:
        yield from map(function, jobs)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for ended in as_completed([pool.submit(function, job) for job in jobs]):
            yield ended.result()


def _generate(job: Job) -> None:
    torch.set_num_threads(1)
    rows, began = job.data.subset(job.shots, job.seed), time.perf_counter()
    generator = train(
        job.data.x[rows],
        job.data.y[rows],
        classes=job.data.classes,
        spec=job.glico_spec,
        seed=job.seed,
        scratch=job.folder,
        device=_device(),
    )
    generator.config["seconds"] = time.perf_counter() - began
    partial = job.generator_path.with_suffix(f".{os.getpid()}")
    generator.save(partial)
    partial.rename(job.generator_path)


def _run(job: Job) -> None:
    torch.set_num_threads(1)
    setting, data = job.setting, job.data
    rows = data.subset(job.shots, job.seed)
    x, y = data.x[rows], data.y[rows]
    source, generator = source_of(job, x, y)
    spec = job.classifier.model_validate(job.classifier.model_dump() | dict(setting.classifier))
    began = time.perf_counter()
    classifier = fit(
        x,
        y,
        len(data.classes),
        spec,
        job.seed,
        source=source,
        probability=setting.probability,
        device=_device(),
    )
    seconds = time.perf_counter() - began
    on_val = classifier.logits(data.x_val)
    shown = {} if source is None else looks(source, data, x, y)
    arrays = {
        "on_test": classifier.predict(data.x_test),
        "corrupted": np.stack(
            [classifier.predict(c(data.x_test[::THIN])) for c in CORRUPTIONS.values()]
        ),
        "score": log_score(on_val, data.y_val),
        "accuracy": (on_val.argmax(axis=1) == data.y_val).mean(),
        "seconds": seconds,
        "generator_seconds": 0.0 if generator is None else generator.config["seconds"],
        **shown,
    }
    partial = job.path.with_suffix(f".{os.getpid()}.npz")
    np.savez(partial, **arrays)
    partial.rename(job.path)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def source_of(job: Job, x: Images, y: Labels) -> tuple[Source | None, Generator | None]:
    """Return what synthetic images come from, and the generator where there is one."""
    interpolation = InterpolationSpec(**job.setting.interpolation)
    if job.setting.source == "fade":
        return cross_fade(x, y, len(job.data.classes), interpolation, _device()), None
    if job.setting.source == "glico":
        generator = Generator.load(job.generator_path, _device())
        return generator.source(interpolation), generator
    return None, None


def looks(source: Source, data: FewShot, x: Images, y: Labels) -> dict[str, float]:
    """Return novelty and diversity of samples in the pixels' space, against real images'."""
    rows = torch.arange(len(x)).repeat(max(1, 500 // len(x)))
    made = source(rows, torch.Generator().manual_seed(0)).flatten(1).cpu()
    of = y[rows.numpy()]
    real, held_out = (
        torch.from_numpy(part).permute(0, 3, 1, 2).flatten(1) / 255 for part in (x, data.x_val)
    )
    near, wanted, apart, plain = [], [], [], []
    for label in np.unique(y):
        samples, reals = made[of == label], real[y == label]
        near.append(torch.cdist(samples, reals).amin(dim=1))
        wanted.append(torch.cdist(held_out[data.y_val == label], reals).amin(dim=1))
        apart.append(torch.pdist(samples).mean())
        plain.append(torch.pdist(reals).mean())
    return {
        "novelty": float(torch.cat(near).median() / torch.cat(wanted).median()),
        "diversity": float(torch.stack(apart).mean() / torch.stack(plain).mean()),
    }


def _read(path: Path) -> Ran:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    numbers = {name: float(array) for name, array in arrays.items() if array.ndim == 0}
    return Ran(arrays["on_test"], arrays["corrupted"], **numbers)

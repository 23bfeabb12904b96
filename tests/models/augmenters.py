"""The augmenters that the conformance suite drives, and the rows it gives them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from models.front import preparation
from models.front.front import Front
from models.front.spec import PreparationSpec
from models.gelda import method as gelda
from models.gelda.spec import DenoiserSpec, GeldaSpec, LatentSpec, ObjectiveSpec, SamplerSpec
from models.glico import method as glico
from models.glico.spec import DecoderSpec, GlicoSpec, InterpolationSpec, ReconstructionSpec
from models.planning.rows import cell_rows
from models.planning.spec import PlanSpec
from models.semantics.spec import LearnedVectors, MeanVectors, OneHotVectors

TAIL = (40, 12, 3, 1)
NAMES = ("many", "medium", "few", "one")
SUBDOMAINS = ("here", "there")
UNSEEN = 7
"""The cell of which there is no row: class "one" in subdomain "there"."""

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""x, class indices, subdomain indices."""

SIDE = 16
"""Of images, in pixels."""


class Trained(Protocol):
    """A generator under test: items for cells and counters, and a round trip over a folder."""

    classes: list[str]

    def draw(self, cells: Any, counters: Any, seed: int, batch_size: int = 64) -> np.ndarray: ...

    def save(self, folder: Path) -> Any: ...


def tail() -> tuple[np.ndarray, np.ndarray]:
    """Return class and subdomain of each row: sizes by `TAIL`, subdomains in turn."""
    y = np.repeat(np.arange(len(TAIL)), TAIL)
    counters = np.concatenate([np.arange(n) for n in TAIL])
    return y, counters % 2


def latents() -> Rows:
    """Return latents of five dimensions: classes on a line, subdomains on its two sides."""
    rng = np.random.default_rng(0)
    y, subdomain = tail()
    x = rng.standard_normal((len(y), 5)) + 3 * y[:, None]
    x[:, 0] += 4 * subdomain
    return x.astype(np.float32), y, subdomain


def images() -> Rows:
    """Return images, brighter from class to class, each with a bright column of its own."""
    rng = np.random.default_rng(0)
    y, subdomain = tail()
    x = 30 + 40 * y[:, None, None, None] + rng.integers(0, 30, (len(y), SIDE, SIDE, 3))
    x[np.arange(len(y)), :, np.arange(len(y)) % SIDE] += 40
    return x.astype(np.uint8), y, subdomain


@dataclass(frozen=True)
class Augmenter:
    """How the suite drives a method.

    Attributes:
        train: (rows, classes, seed, scratch, **watch) to a generator; ``watch`` holds any of
            resume, on_checkpoint, on_progress and should_stop.
        load: folder to a generator.
        subdomains: names of those that it is conditioned on; without them cells are classes.
        rows: makes what it is trained on.
        shape: of an item.
        dtype: of its values.
        lonely: whether it makes nothing of a class with one example.
        tolerance: how far items may differ between ways of cutting them into batches.
        exempt: names of tests that do not apply, and why.
    """

    name: str
    train: Callable[..., Trained]
    load: Callable[[Path], Trained]
    subdomains: tuple[str, ...] = ()
    rows: Callable[[], Rows] = latents
    shape: tuple[int, ...] = (5,)
    dtype: type[np.generic] = np.float32
    lonely: bool = False
    tolerance: float = 1e-5
    exempt: dict[str, str] = field(default_factory=dict)

    def planned(self, plan: PlanSpec | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return cell and counter of each item of a plan, by default to raise all to the largest."""
        y, subdomain = tail()
        n_cells = len(NAMES) * max(1, len(self.subdomains))
        cells = y * 2 + subdomain if self.subdomains else y
        have = np.bincount(cells, minlength=n_cells).tolist()
        sizes = cell_rows(plan or PlanSpec(match="largest"), NAMES, self.subdomains, have)
        if self.lonely:
            sizes = np.where(np.array(have) == 1, 0, sizes)
        counters = np.concatenate([np.arange(n) for n in sizes]).astype(np.int64)
        return np.repeat(np.arange(n_cells), sizes), counters

    def label(self, cells: np.ndarray) -> np.ndarray:
        """Return the classes of cells."""
        return cells // max(1, len(self.subdomains))


class _Gelda:
    def __init__(self, generator: gelda.Generator, sampler: SamplerSpec) -> None:
        self.generator, self.sampler = generator, sampler
        self.classes = generator.classes
        self.save = generator.save

    def draw(self, cells: Any, counters: Any, seed: int, batch_size: int = 64) -> np.ndarray:
        return self.generator.sample(
            cells, counters, seed=seed, sampler=self.sampler, batch_size=batch_size
        )


def _gelda(
    name: str, sampler: SamplerSpec, *, cells: bool = False, hide: bool = False, **parts: Any
) -> Augmenter:
    """Return GeLDA; ``cells`` conditions on subdomains, ``hide`` the labels of all rows of one."""
    parts.setdefault("objective", ObjectiveSpec(steps=20, batch_size=32, checkpoint_steps=7))
    spec = GeldaSpec(dataset="ds_" + "0" * 32, denoiser=DenoiserSpec(width=32, blocks=2), **parts)
    subdomains = SUBDOMAINS if cells else ()

    def train(rows: Rows, classes: Any, seed: int, scratch: Path, **watch: Any) -> _Gelda:
        x, y, subdomain = rows
        hidden = (subdomain == 1) & hide
        trained = gelda.train(
            x,
            np.where(hidden, -1, y),
            classes=classes,
            vectors=None,
            spec=spec,
            seed=seed,
            scratch=scratch,
            front=Front(preparation.fit(x, PreparationSpec())),
            subdomain=subdomain if cells else None,
            subdomains=subdomains,
            posterior=0.1 + 0.6 * np.eye(len(classes))[y[hidden]] if hide else None,
            **watch,
        )
        return _Gelda(trained, sampler)

    def load(folder: Path) -> _Gelda:
        return _Gelda(gelda.Generator.load(folder), sampler)

    return Augmenter(name, train, load, subdomains)


class _Glico:
    def __init__(self, generator: glico.Generator, interpolation: InterpolationSpec) -> None:
        self.generator, self.interpolation = generator, interpolation
        self.classes = generator.classes
        self.save = generator.save

    def draw(self, cells: Any, counters: Any, seed: int, batch_size: int = 64) -> np.ndarray:
        drawn = self.generator.sample(
            cells, counters, seed=seed, interpolation=self.interpolation, batch_size=batch_size
        )
        return drawn.images


def _glico(name: str, decoder: DecoderSpec, interpolation: InterpolationSpec) -> Augmenter:
    steps = ReconstructionSpec(steps=20, batch_size=16, checkpoint_steps=7)
    spec = GlicoSpec(dataset="ds_" + "0" * 32, decoder=decoder, reconstruction=steps)

    def train(rows: Rows, classes: Any, seed: int, scratch: Path, **watch: Any) -> _Glico:
        x, y, _ = rows
        trained = glico.train(x, y, classes=classes, spec=spec, seed=seed, scratch=scratch, **watch)
        return _Glico(trained, interpolation)

    def load(folder: Path) -> _Glico:
        return _Glico(glico.Generator.load(folder), interpolation)

    pair = "an image is made of two training images of its class"
    return Augmenter(
        name,
        train,
        load,
        rows=images,
        shape=(SIDE, SIDE, 3),
        dtype=np.uint8,
        lonely=True,
        tolerance=1,  # of 255: rounding may fall to either side
        exempt={"test_a_class_of_one_example_gets_items_that_differ": pair},
    )


AUGMENTERS = (
    _glico("glico", DecoderSpec(code_dim=16, width=8), InterpolationSpec()),
    _glico(
        "glico, conditioned, noisy, three parents, as the generator has them",
        DecoderSpec(code_dim=16, width=8, noise=True, conditioned=True, upsampling="transposed"),
        InterpolationSpec(parents=3, residuals=False),
    ),
    _gelda("gelda", SamplerSpec(steps=4)),
    _gelda(
        "gelda, latents themselves, guided",
        SamplerSpec(name="dpmpp_2m", steps=6, guidance=1.5, temperature=2),
        latents=LatentSpec(model="direct"),
        classes=OneHotVectors(source="one_hot"),
    ),
    _gelda(
        "gelda, cells, each condition guided",
        SamplerSpec(steps=4, guidance=1.2, guidance_subdomain=1.5, guidance_interval=(0.2, 0.8)),
        cells=True,
        subdomains=LearnedVectors(),
    ),
    _gelda(
        "gelda, cells, latents themselves",
        SamplerSpec(steps=4),
        cells=True,
        latents=LatentSpec(model="direct"),
        # Where a class lies is all the network's affair here, and takes it some steps to learn.
        objective=ObjectiveSpec(
            steps=120, batch_size=32, checkpoint_steps=7, learning_rate=1e-2, ema=0.9
        ),
        subdomains=OneHotVectors(source="one_hot"),
    ),
    _gelda(
        "gelda, cells of a subdomain without labels",
        SamplerSpec(steps=4),
        cells=True,
        hide=True,
        subdomains=MeanVectors(source="means"),
    ),
)

"""What every augmenter must do. A new method adds an `Augmenter` to `AUGMENTERS` and inherits all of it.

An exemption is an entry of `exempt` with its reason, which pytest prints.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from models.errors import Interrupted
from models.front.front import Front
from models.gelda import method as gelda
from models.gelda.plan import counts
from models.gelda.spec import (
    DenoiserSpec,
    GeldaSpec,
    LatentSpec,
    ObjectiveSpec,
    PlanSpec,
    SamplerSpec,
)
from models.semantics.spec import OneHotVectors

TAIL = (40, 12, 3, 1)
NAMES = ("many", "medium", "few", "one")


class Trained(Protocol):
    """A generator under test: rows for labels and counters, and a round trip over a folder."""

    classes: list[str]

    def draw(self, labels: Any, counters: Any, seed: int, batch_size: int = 64) -> np.ndarray: ...

    def save(self, folder: Path) -> Any: ...


@dataclass(frozen=True)
class Augmenter:
    """How the suite drives a method.

    Attributes:
        train: (x, y, classes, seed, scratch, **watch) to a generator; ``watch`` holds any of
            resume, on_checkpoint, on_progress and should_stop.
        load: folder to a generator.
        tolerance: how far rows may differ between ways of cutting them into batches.
        exempt: names of tests that do not apply, and why.
    """

    name: str
    train: Callable[..., Trained]
    load: Callable[[Path], Trained]
    tolerance: float = 1e-5
    exempt: dict[str, str] = field(default_factory=dict)


class _Gelda:
    def __init__(self, generator: gelda.Generator, sampler: SamplerSpec) -> None:
        self.generator, self.sampler = generator, sampler
        self.classes = generator.classes
        self.save = generator.save

    def draw(self, labels: Any, counters: Any, seed: int, batch_size: int = 64) -> np.ndarray:
        return self.generator.sample(
            labels, counters, seed=seed, sampler=self.sampler, batch_size=batch_size
        )


def _gelda(name: str, sampler: SamplerSpec, **parts: Any) -> Augmenter:
    spec = GeldaSpec(
        dataset="ds_" + "0" * 32,
        denoiser=DenoiserSpec(width=32, blocks=2),
        objective=ObjectiveSpec(steps=20, batch_size=32, checkpoint_steps=7),
        **parts,
    )

    def train(x: Any, y: Any, classes: Any, seed: int, scratch: Path, **watch: Any) -> _Gelda:
        trained = gelda.train(
            x,
            y,
            classes=classes,
            vectors=None,
            spec=spec,
            seed=seed,
            scratch=scratch,
            front=Front.identity(x.shape[1]),
            **watch,
        )
        return _Gelda(trained, sampler)

    return Augmenter(name, train, lambda folder: _Gelda(gelda.Generator.load(folder), sampler))


AUGMENTERS = (
    _gelda("gelda", SamplerSpec(steps=4)),
    _gelda(
        "gelda, latents themselves, guided",
        SamplerSpec(name="dpmpp_2m", steps=6, guidance=1.5, temperature=2),
        latents=LatentSpec(model="direct"),
        classes=OneHotVectors(source="one_hot"),
    ),
)


@pytest.fixture(params=AUGMENTERS, ids=lambda augmenter: augmenter.name)
def augmenter(request: pytest.FixtureRequest) -> Augmenter:
    chosen: Augmenter = request.param
    reason = chosen.exempt.get(request.function.__name__)
    if reason:
        pytest.skip(reason)
    return chosen


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(len(TAIL)), TAIL)
    return (rng.standard_normal((len(y), 5)) + 3 * y[:, None]).astype(np.float32), y


@pytest.fixture
def trained(augmenter: Augmenter, rows: Any, tmp_path: Path) -> Trained:
    return augmenter.train(*rows, NAMES, 3, tmp_path)


def _items(wanted: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    sizes = [wanted[name] for name in NAMES]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return labels, np.concatenate([np.arange(n) for n in sizes]).astype(np.int64)


def _planned() -> tuple[np.ndarray, np.ndarray]:
    return _items(counts(PlanSpec(match="largest"), dict(zip(NAMES, TAIL, strict=True))))


def test_a_plan_is_filled_with_finite_float32_rows_of_the_data_s_dimension(
    trained: Trained,
) -> None:
    labels, counters = _planned()
    x = trained.draw(labels, counters, seed=1)
    assert np.bincount(labels, minlength=4).tolist() == [0, 28, 37, 39]
    assert (x.shape, x.dtype) == ((104, 5), np.float32)
    assert np.isfinite(x).all()
    assert len(np.unique(x, axis=0)) == len(x)
    assert list(trained.classes) == list(NAMES)


def test_rows_have_the_label_they_were_asked_for(trained: Trained) -> None:
    labels, counters = _planned()
    drawn = trained.draw(labels, counters, seed=1)
    # Loose on purpose, since these generators are hardly trained: the classes lie on a line, and
    # rows of classes with few examples come in the order of the classes.
    medium, few, one = (drawn[labels == label].mean() for label in (1, 2, 3))
    assert medium < few < one


def test_equal_seeds_give_equal_bytes(augmenter: Augmenter, rows: Any, tmp_path: Path) -> None:
    labels, counters = _planned()
    a = augmenter.train(*rows, NAMES, 3, tmp_path).draw(labels, counters, seed=1)
    b = augmenter.train(*rows, NAMES, 3, tmp_path).draw(labels, counters, seed=1)
    assert a.tobytes() == b.tobytes()


def test_other_seeds_give_other_rows(augmenter: Augmenter, rows: Any, tmp_path: Path) -> None:
    labels, counters = _planned()
    trained = augmenter.train(*rows, NAMES, 3, tmp_path)
    other = augmenter.train(*rows, NAMES, 4, tmp_path)
    first = trained.draw(labels, counters, seed=1)
    assert not np.allclose(first, trained.draw(labels, counters, seed=2))
    assert not np.allclose(first, other.draw(labels, counters, seed=1))


def test_training_leaves_the_global_random_state_alone(
    augmenter: Augmenter, rows: Any, tmp_path: Path
) -> None:
    import torch

    before = torch.get_rng_state()
    augmenter.train(*rows, NAMES, 3, tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_an_empty_plan_gives_no_rows(trained: Trained) -> None:
    nothing = np.empty(0, dtype=np.int64)
    assert trained.draw(nothing, nothing, seed=1).shape == (0, 5)


def test_a_class_of_one_example_gets_rows_that_differ(trained: Trained) -> None:
    x = trained.draw(np.full(20, 3), np.arange(20), seed=1)
    assert np.isfinite(x).all()
    assert x.std(axis=0).min() > 1e-3


def test_an_item_does_not_depend_on_its_shard(augmenter: Augmenter, trained: Trained) -> None:
    labels, counters = _planned()
    whole = trained.draw(labels, counters, seed=1)
    order = np.random.default_rng(0).permutation(len(labels))
    for batch_size in (64, 17):
        cut = np.empty_like(whole)
        for shard in np.array_split(order, 3):
            cut[shard] = trained.draw(labels[shard], counters[shard], 1, batch_size)
        np.testing.assert_allclose(cut, whole, rtol=0, atol=augmenter.tolerance)


def test_a_generator_survives_its_folder(
    augmenter: Augmenter, trained: Trained, tmp_path: Path
) -> None:
    trained.save(tmp_path / "kept")
    labels, counters = _planned()
    again = augmenter.load(tmp_path / "kept")
    a, b = trained.draw(labels, counters, seed=1), again.draw(labels, counters, seed=1)
    assert a.tobytes() == b.tobytes()
    assert list(again.classes) == list(NAMES)


def test_equal_generators_are_equal_files(augmenter: Augmenter, rows: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        augmenter.train(*rows, NAMES, 3, tmp_path).save(tmp_path / name)
    files = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert "config.json" in files
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_an_interrupted_training_resumes_bit_for_bit(
    augmenter: Augmenter, rows: Any, tmp_path: Path
) -> None:
    whole = augmenter.train(*rows, NAMES, 3, tmp_path)
    whole.save(tmp_path / "whole")
    kept: list[Path] = []

    def keep(path: Path, step: int) -> None:
        kept.append(path.rename(tmp_path / f"kept-{step}"))

    asked = iter(range(10_000))
    with pytest.raises(Interrupted):
        augmenter.train(
            *rows, NAMES, 3, tmp_path, on_checkpoint=keep, should_stop=lambda: next(asked) == 11
        )
    assert len(kept) == 2, "one on schedule, one when stopped"
    for checkpoint in kept:
        resumed = augmenter.train(*rows, NAMES, 3, tmp_path, resume=checkpoint)
        resumed.save(tmp_path / "resumed")
        for file in (tmp_path / "whole").iterdir():
            assert file.read_bytes() == (tmp_path / "resumed" / file.name).read_bytes()


def test_a_checkpoint_of_another_training_is_refused(
    augmenter: Augmenter, rows: Any, tmp_path: Path
) -> None:
    kept: list[Path] = []
    augmenter.train(*rows, NAMES, 3, tmp_path, on_checkpoint=lambda path, _step: kept.append(path))
    with pytest.raises(ValueError, match="other settings"):
        augmenter.train(*rows, NAMES, 4, tmp_path, resume=kept[0])


def test_progress_is_told_up_to_the_end(augmenter: Augmenter, rows: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int, float]] = []
    augmenter.train(*rows, NAMES, 3, tmp_path, on_progress=lambda *a: told.append(a))
    steps = [step for step, _, _ in told]
    assert steps == sorted(set(steps))
    assert told[-1][0] == told[-1][1]
    assert all(np.isfinite(loss) for _, _, loss in told)

"""A generator's promises that are GeLDA's own; what every augmenter owes is in `test_conformance`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import InputProblem, Interrupted
from models.front import preparation
from models.front.blocks import AdapterBlock
from models.front.front import Front
from models.front.spec import PreparationSpec
from models.gelda.method import Generator, item_noise, resolve, train
from models.gelda.spec import GeldaSpec, LatentSpec, ObjectiveSpec, SamplerSpec
from models.semantics.spec import NameVectors

FEW_STEPS = SamplerSpec(steps=4)
Train = Callable[..., Generator]


def draw(generator: Generator, label: int, n: int = 400, **sampler: Any) -> np.ndarray:
    spec = FEW_STEPS.model_copy(update=sampler)
    return generator.sample(np.full(n, label), np.arange(n), seed=1, sampler=spec)


def test_a_hardly_trained_generator_already_draws_the_shared_gaussian(trained: Train) -> None:
    rows = trained.rows((2000, 1500))
    generator = trained((2000, 1500), shrinkage=0)
    for label in (0, 1):
        real, drawn = rows[0][rows[1] == label], draw(generator, label, 4000)
        np.testing.assert_allclose(drawn.mean(axis=0), real.mean(axis=0), atol=0.12)
        np.testing.assert_allclose(np.cov(drawn.T), np.cov(real.T), atol=0.25)


def test_training_learns_what_is_not_gaussian(tmp_path: Path) -> None:
    """Residuals at two points, ±1: a Gaussian of their variance has most of its mass between."""
    x = np.where(np.arange(600) % 2, 1.0, -1.0)[:, None].repeat(2, axis=1)
    x += 0.05 * np.random.default_rng(0).standard_normal(x.shape)
    spec = GeldaSpec(
        dataset="ds_" + "0" * 32,
        objective=ObjectiveSpec(steps=400, batch_size=128, learning_rate=3e-3, ema=0.98),
        denoiser={"width": 64, "blocks": 2},
    )
    y = np.zeros(600, dtype=np.int64)
    front = Front.identity(2)
    generator = train(
        x, y, classes=["a"], vectors=None, spec=spec, seed=0, scratch=tmp_path, front=front
    )
    drawn = draw(generator, 0, 1000, steps=24)
    between = np.mean(np.abs(drawn.mean(axis=1)) < 0.5)
    assert between < 0.15, "38 % for a Gaussian"
    losses = [loss for _, loss in generator.config["history"]]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:3])


def test_temperature_is_a_factor_on_the_variance(trained: Train) -> None:
    generator = trained((300, 200))
    cold, hot = draw(generator, 0), draw(generator, 0, temperature=4.0)
    ratio = hot.var(axis=0) / cold.var(axis=0)
    np.testing.assert_allclose(ratio, 4, rtol=0.15)


def test_guidance_changes_what_is_drawn_and_1_costs_nothing(trained: Train) -> None:
    generator = trained(objective=ObjectiveSpec(steps=60, batch_size=32))
    plain = draw(generator, 2, guidance=1.0)
    assert not np.allclose(plain, draw(generator, 2, guidance=3.0), atol=1e-3)
    np.testing.assert_allclose(plain, draw(generator, 2, guidance=1.0000001), atol=1e-4)


def test_both_solvers_agree_where_both_are_fine_enough(trained: Train) -> None:
    generator = trained(objective=ObjectiveSpec(steps=60, batch_size=32))
    heun = draw(generator, 0, steps=48)
    dpmpp = draw(generator, 0, name="dpmpp_2m", steps=96)
    assert np.abs(heun - dpmpp).mean() < 0.01 * heun.std()


def test_a_class_that_was_never_seen_is_drawn_near_the_class_of_like_vector(
    trained: Train,
) -> None:
    vectors = np.eye(4, dtype=np.float32)
    vectors[3] = 0.95 * vectors[0] + 0.05 * vectors[1]
    x, y = trained.rows((40, 30, 20))
    generator = trained((40, 30, 20), names=4, vectors=vectors)
    drawn = draw(generator, 3).mean(axis=0)
    distances = [np.linalg.norm(drawn - x[y == label].mean(axis=0)) for label in range(3)]
    assert np.argmin(distances) == 0
    assert generator.config["class_counts"]["class 3"] == 0


def test_a_class_without_rows_and_without_meaning_is_refused_by_name(trained: Train) -> None:
    with pytest.raises(InputProblem, match="'class 3'") as caught:
        trained((40, 30, 20), names=4)
    assert caught.value.code == "class_without_rows"


def test_shuffled_vectors_make_another_generator(trained: Train) -> None:
    vectors = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    a, b = trained(vectors=vectors), trained(vectors=vectors[[2, 0, 1]])
    assert not np.allclose(draw(a, 2), draw(b, 2))


@pytest.mark.parametrize(
    ("vectors", "code"),
    [
        (np.ones((2, 4)), "class_vectors_mismatch"),
        (np.ones(3), "class_vectors_mismatch"),
        (np.array([[1.0], [np.nan], [1.0]]), "non_finite_values"),
    ],
)
def test_vectors_that_do_not_fit_are_named(trained: Train, vectors: Any, code: str) -> None:
    with pytest.raises(InputProblem) as caught:
        trained(vectors=vectors)
    assert caught.value.code == code


def test_vectors_that_a_spec_wants_must_be_given(trained: Train) -> None:
    with pytest.raises(ValueError, match="'names'"):
        trained(classes=NameVectors(source="names"))


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputProblem) as caught:
        train(
            np.empty((0, 3)),
            np.empty(0, dtype=np.int64),
            classes=["a"],
            vectors=None,
            spec=GeldaSpec(dataset="ds_" + "0" * 32),
            seed=0,
            scratch=tmp_path,
            front=Front.identity(3),
        )
    assert caught.value.code == "empty_dataset"


def test_only_classes_of_one_row_still_give_latents_around_them(trained: Train) -> None:
    generator = trained((1, 1, 1), shrinkage=0)
    x, _ = trained.rows((1, 1, 1))
    drawn = draw(generator, 1)
    assert np.linalg.norm(drawn.mean(axis=0) - x[1]) < np.linalg.norm(x[1] - x[0])
    assert generator.config["history"] == []


def test_memory_mapped_half_precision_rows_train_like_arrays(
    trained: Train, tmp_path: Path
) -> None:
    x, _ = trained.rows((40, 12, 3))
    half = x.astype(np.float16)
    np.save(tmp_path / "x.npy", half)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    a, b = trained(x=half.astype(np.float32)), trained(x=mapped)
    assert draw(a, 0).tobytes() == draw(b, 0).tobytes()


def test_half_a_batch_at_once_is_the_same_training_up_to_rounding(trained: Train) -> None:
    whole, halves = trained(), trained(batch_size=16)
    np.testing.assert_allclose(draw(whole, 1), draw(halves, 1), atol=2e-3)


def test_a_loss_that_is_not_finite_is_reported_with_its_remedy(trained: Train) -> None:
    with pytest.raises(InputProblem, match="learning_rate may help") as caught:
        trained(x=np.full((55, 6), np.inf), latents=LatentSpec(model="direct"))
    assert caught.value.code == "training_diverged"


def test_drawing_can_be_stopped_and_tells_its_progress(trained: Train) -> None:
    generator, told = trained(), []
    labels = np.zeros(100, dtype=np.int64)
    with pytest.raises(Interrupted):
        generator.sample(
            labels,
            np.arange(100),
            seed=1,
            sampler=FEW_STEPS,
            batch_size=32,
            on_progress=lambda *done: told.append(done),
            should_stop=lambda: len(told) == 2,
        )
    assert told == [(32, 100), (64, 100)]


def test_a_foreign_folder_is_no_generator(trained: Train, tmp_path: Path) -> None:
    trained().save(tmp_path / "kept")
    config = tmp_path / "kept" / "config.json"
    config.write_text(config.read_text().replace('"gelda"', '"glico"'))
    with pytest.raises(ValueError, match="no GeLDA generator"):
        Generator.load(tmp_path / "kept")


def test_noise_uses_all_64_bits_of_its_seed() -> None:
    assert not np.allclose(item_noise(1, 8), item_noise(1 + 2**32, 8))
    noise = np.stack([item_noise(i, 64) for i in range(2000)])
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02


def test_defaults_grow_with_the_data() -> None:
    spec = GeldaSpec(dataset="ds_" + "0" * 32)
    small, large = resolve(spec, n=200, dim=64), resolve(spec, n=400_000, dim=1024)
    assert (small[0].width, small[0].blocks, small[1].steps) == (256, 3, 500)
    assert (large[0].width, large[0].blocks, large[1].steps) == (1536, 6, 6325)
    given = spec.model_copy(update={"objective": ObjectiveSpec(steps=7)})
    assert resolve(given, n=200, dim=64)[1].steps == 7


def test_rows_come_back_through_the_front_and_latents_do_not(trained: Train) -> None:
    x, _ = trained.rows((400, 300))
    x = np.exp(x / 4)
    front = Front(preparation.fit(x, PreparationSpec(transform="sqrt", components=4)))
    generator = trained((400, 300), x=x, front=front)
    items = np.zeros(300, dtype=np.int64), np.arange(300)
    latents = generator.sample(*items, seed=1, sampler=FEW_STEPS, space="latent")
    drawn = generator.sample(*items, seed=1, sampler=FEW_STEPS)
    assert (latents.shape, drawn.shape, generator.dim) == ((300, 4), (300, 6), 6)
    np.testing.assert_allclose(preparation.transformed(front, drawn), latents, atol=1e-4)


def test_behind_blocks_there_are_latents_alone(trained: Train) -> None:
    block = AdapterBlock(6, 16)
    block.initialise(torch.Generator().manual_seed(0))
    x, _ = trained.rows((40, 12, 3))
    front = Front(preparation.fit(x, PreparationSpec(components=6)), [block])
    generator = trained(front=front)
    assert generator.dim == 6
    plain = generator.sample(np.zeros(3, int), np.arange(3), seed=1, sampler=FEW_STEPS)
    latents = generator.sample(
        np.zeros(3, int), np.arange(3), seed=1, sampler=FEW_STEPS, space="latent"
    )
    assert np.array_equal(plain, latents)

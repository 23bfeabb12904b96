from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import InputProblem, Interrupted
from models.glico.generator import Generator
from models.glico.method import resolve
from models.glico.spec import ReconstructionSpec
from models.glico.sphere import project


def weights(generator: Generator, folder: Path) -> bytes:
    return generator.save(folder)[0].read_bytes()


def test_training_learns_to_reconstruct(trained: Any) -> None:
    generator = trained(trained.spec(steps=150))
    rows = torch.arange(11)
    error = (generator.reconstruct(rows) - generator.originals(rows)).abs().mean()
    plain = (generator.originals(rows) - generator.originals(rows).mean(dim=0)).abs().mean()
    assert error < 0.8 * plain
    losses = [loss for _, loss in generator.config["history"]]
    assert losses[-1] < 0.5 * losses[0]


def test_codes_stay_on_the_sphere_and_move(trained: Any) -> None:
    first, last = trained(trained.spec(steps=1)), trained(trained.spec(steps=60))
    for generator in (first, last):
        assert (generator.codes.norm(dim=1) - 1).abs().max() < 1e-5
    assert (first.codes - last.codes).abs().max() > 0.01


def test_only_training_images_have_codes(trained: Any) -> None:
    assert trained().codes.shape == (len(trained.x), 16)


def test_a_code_that_is_not_in_the_batch_stays_where_it_is(trained: Any) -> None:
    first = trained(trained.spec(steps=1, batch_size=2, code_rate=1e-9)).codes
    moved = (trained(trained.spec(steps=1, batch_size=2)).codes - first).abs().amax(dim=1) > 1e-4
    assert moved.sum() == 2


def test_equal_arguments_give_equal_bytes_and_another_seed_others(
    trained: Any, tmp_path: Path
) -> None:
    found = [
        weights(trained(seed=seed), tmp_path / f"{number}") for number, seed in enumerate((3, 3, 4))
    ]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("stop_at", [5, 10, 29])
def test_a_resumed_training_ends_as_an_uninterrupted_one(
    trained: Any, tmp_path: Path, stop_at: int
) -> None:
    kept: list[Path] = []

    def keep(path: Path, step: int) -> None:
        kept.append(Path(copy(path, tmp_path / f"kept-{step}")))

    looks = iter(range(1000))
    with pytest.raises(Interrupted, match=f"step {stop_at} of 30"):
        trained(on_checkpoint=keep, should_stop=lambda: next(looks) == stop_at)
    resumed = trained(resume=kept[-1])
    whole = trained()
    assert weights(resumed, tmp_path / "a") == weights(whole, tmp_path / "b")
    assert resumed.config["history"] == whole.config["history"]


def test_a_checkpoint_of_other_images_is_refused(trained: Any, tmp_path: Path) -> None:
    kept: list[Path] = []
    trained(on_checkpoint=lambda path, _: kept.append(Path(copy(path, tmp_path / "kept"))))
    with pytest.raises(ValueError, match="other settings or data"):
        trained(resume=kept[0], x=255 - trained.x)
    with pytest.raises(ValueError, match="other settings or data"):
        trained(trained.spec(classifier_weight=0.1), resume=kept[0])


def test_halves_of_a_batch_add_up_to_it(trained: Any) -> None:
    whole, halves = trained(trained.spec(steps=3)), trained(trained.spec(steps=3), batch_size=4)
    assert torch.allclose(whole.codes, halves.codes, atol=1e-4)


def test_progress_is_told_and_ends_at_the_last_step(trained: Any) -> None:
    told: list[tuple[int, int, float]] = []
    trained(on_progress=lambda *args: told.append(args))
    assert told[-1][:2] == (30, 30)
    assert len(told) == 30


def test_labels_shape_the_reconstructions_only_through_the_auxiliary_classifier(
    trained: Any,
) -> None:
    with_labels, without = trained(), trained(trained.spec(classifier_weight=0))
    assert not torch.equal(with_labels.codes, without.codes)


def test_without_a_pair_nothing_is_trained(trained: Any) -> None:
    trained.y = np.arange(11) % 11
    trained.classes = tuple("abcdefghijk")
    with pytest.raises(InputProblem, match="No class has two training images") as caught:
        trained()
    assert caught.value.code == "too_few_images"


def test_a_loss_that_is_no_number_is_told(trained: Any) -> None:
    with pytest.raises(InputProblem, match="generator_rate") as caught:
        trained(distance=lambda a, _: a.mean() * float("nan"))
    assert caught.value.code == "training_diverged"


def test_defaults_follow_from_images_and_side() -> None:
    small = resolve(ReconstructionSpec(), n=100, side=32)
    large = resolve(ReconstructionSpec(), n=10_000, side=128)
    assert (small.batch_size, large.batch_size) == (64, 32)
    assert small.steps is not None
    assert large.steps is not None
    assert small.steps < large.steps
    assert resolve(ReconstructionSpec(steps=7, batch_size=3), n=9, side=16).steps == 7


def test_the_first_codes_are_spread_over_the_sphere(trained: Any) -> None:
    codes = trained(trained.spec(steps=1, code_rate=1e-6)).codes
    cosines = codes @ codes.T - torch.eye(len(codes))
    assert cosines.abs().max() < 0.95
    assert torch.allclose(project(codes), codes, atol=1e-6)

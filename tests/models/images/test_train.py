"""Training a classifier on images: it learns, mixes, resumes, and refuses what does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.errors import InputProblem, Interrupted
from models.images.batches import Batches
from models.images.classifier import ImageClassifier
from models.images.train import fit
from tests.models.images.conftest import Rows, spec_of

Fit = Callable[..., ImageClassifier]
Make = Callable[..., Rows]


class Grey:
    """A source of grey images, which remembers what it was asked for."""

    def __init__(self, draws: int = 1) -> None:
        self.asked: list[Tensor] = []
        self._draws = draws

    def __call__(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        self.asked.append(rows)
        torch.rand(self._draws, generator=generator)
        return torch.full((len(rows), 3, 16, 16), 0.5)


def weights(classifier: ImageClassifier) -> bytes:
    state = classifier.model.state_dict().values()
    return b"".join(value.contiguous().numpy().tobytes() for value in state)


def batches_of(data: Rows, **options: Any) -> Batches:
    x, y = (torch.from_numpy(array) for array in data)
    given = {"source": None, "probability": 0.0} | options
    spec = given.pop("spec", spec_of())
    return Batches(x, y, 3, torch.zeros(3), spec, 7, **given)


@pytest.mark.parametrize(
    "options",
    [{}, {"network": "wrn-10-1"}, {"precision": "bfloat16"}],
    ids=["resnet", "wrn", "bfloat16"],
)
def test_it_learns_to_tell_classes_apart(fitted: Fit, rows: Make, options: dict[str, Any]) -> None:
    classifier = fitted(steps=40, crop=0.0, **options)
    x, y = rows(60, seed=1)
    assert classifier.logits(x).dtype == np.float32
    assert (classifier.predict(x) == y).mean() > 0.9
    assert classifier.history[0][1] > classifier.history[-1][1]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"augmentation": "cutout"},
        {"augmentation": "randaugment"},
        {"augmentation": "color"},
        {"mixup": 1.0},
        {"cutmix": 1.0},
    ],
    ids=["plain", "cutout", "randaugment", "color", "mixup", "cutmix"],
)
def test_equal_seeds_give_equal_weights(fitted: Fit, options: dict[str, Any]) -> None:
    first = fitted(**options)
    torch.rand(3)  # the global generator has no part in it
    assert weights(first) == weights(fitted(**options))
    assert weights(first) != weights(fitted(seed=4, **options))


@pytest.mark.parametrize(
    "options",
    [
        {"mixup": 1.0},
        {"augmentation": "randaugment"},
        {"augmentation": "color", "cutmix": 1.0},
        {"source": Grey(), "probability": 0.5},
        {"precision": "bfloat16"},
    ],
    ids=["mixup", "randaugment", "color-cutmix", "source", "bfloat16"],
)
def test_a_resumed_training_ends_bit_for_bit_like_one_without_a_break(
    fitted: Fit, tmp_path: Path, options: dict[str, Any]
) -> None:
    kept: list[tuple[Path, int]] = []
    whole = fitted(on_checkpoint=lambda path, step: kept.append((path, step)), **options)
    assert [step for _, step in kept] == [4, 8]
    for path, _ in kept:
        again = fitted(resume=path, **options)
        assert weights(again) == weights(whole)
        assert again.history == whole.history


def test_a_stopped_training_leaves_a_checkpoint_of_its_last_step(fitted: Fit) -> None:
    kept: list[tuple[Path, int]] = []
    asked = iter([False, False, True])
    with pytest.raises(Interrupted, match="before step 3 of 9"):
        fitted(
            should_stop=lambda: next(asked),
            on_checkpoint=lambda path, step: kept.append((path, step)),
        )
    ((path, step),) = kept
    assert step == 2
    assert weights(fitted(resume=path)) == weights(fitted())


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 4},
        {"weight_decay": 0.1},
        {"n_classes": 4},
        {"precision": "bfloat16"},
        {"data": "other"},
    ],
    ids=["seed", "spec", "classes", "precision", "data"],
)
def test_a_checkpoint_of_another_training_is_refused(
    fitted: Fit, rows: Make, other: dict[str, Any]
) -> None:
    kept: list[Path] = []
    fitted(on_checkpoint=lambda path, _step: kept.append(path))
    if "data" in other:
        other = {"data": rows(seed=1)}
    with pytest.raises(ValueError, match="other settings or data"):
        fitted(resume=kept[0], **other)


def test_progress_is_told_to_the_last_step(fitted: Fit) -> None:
    told: list[tuple[int, int, float]] = []
    classifier = fitted(on_progress=lambda *now: told.append(now))
    assert [now[:2] for now in told] == [(step, 9) for step in range(1, 10)]
    assert [(step, loss) for step, _, loss in told] == classifier.history


def test_a_loss_that_is_not_finite_is_told_with_what_may_help(fitted: Fit) -> None:
    def broken(rows: Tensor, _generator: torch.Generator) -> Tensor:
        return torch.full((len(rows), 3, 16, 16), torch.nan)

    with pytest.raises(InputProblem, match=r"lower classifier\.learning_rate") as caught:
        fitted(source=broken, probability=0.5)
    assert caught.value.code == "training_diverged"


def test_a_class_without_images_has_a_logit_all_the_same(fitted: Fit, rows: Make) -> None:
    classifier = fitted(n_classes=5)
    assert classifier.logits(rows()[0]).shape == (30, 5)


def test_every_image_comes_once_before_any_comes_again(rows: Make) -> None:
    batches = batches_of(rows(), spec=spec_of(batch_size=8))
    seen = torch.cat([batches.rows(step) for step in range(15)])
    for epoch in seen.reshape(4, 30):
        assert sorted(epoch.tolist()) == list(range(30))
    assert not torch.equal(seen[:30], seen[30:60])
    few = batches_of(rows(3), spec=spec_of(batch_size=8)).rows(5)
    assert torch.bincount(few).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_each_place_of_a_batch_has_its_own_coin(rows: Make) -> None:
    source = Grey()
    batches = batches_of(
        rows(), spec=spec_of(batch_size=16, crop=0), source=source, probability=0.75
    )
    shares = []
    for step in range(40):
        batch = batches.at(step)
        grey = (batch.images == 0.5).flatten(1).all(dim=1)
        assert torch.equal(batches.rows(step)[grey], source.asked[-1])
        assert torch.equal(batches.y[batches.rows(step)], batch.labels)
        shares.append(float(grey.float().mean()))
    assert np.mean(shares) == pytest.approx(0.75, abs=0.05)
    assert len(set(shares)) > 3


def test_arms_of_equal_seeds_see_equal_images_where_both_are_real(rows: Make) -> None:
    spec = spec_of(crop=0.25)
    real = batches_of(rows(), spec=spec)
    few = batches_of(rows(), spec=spec, source=Grey(), probability=0.3)
    many = batches_of(rows(), spec=spec, source=Grey(draws=1000), probability=0.6)
    for step in range(5):
        plain, mixed, more = (one.at(step).images for one in (real, few, many))
        grey, greyer = ((one == 0.5).flatten(1).all(dim=1) for one in (mixed, more))
        assert torch.equal(mixed[~grey], plain[~grey])
        assert torch.equal(more[~greyer], plain[~greyer])
        assert (greyer | ~grey).all()  # the same coins: what is synthetic at .3 is at .6


def test_a_batch_may_go_through_the_network_in_parts(fitted: Fit) -> None:
    told: list[float] = []
    for size in (8, 3):
        fitted(batch_rows=size, on_progress=lambda _step, _steps, loss: told.append(loss))
    # BatchNorm sees fewer images at once: near, never equal.
    assert told[9] == pytest.approx(told[0], rel=0.3)
    assert told[9] != told[0]


def test_norms_and_biases_do_not_decay(fitted: Fit) -> None:
    still = {"steps": 1, "learning_rate": 1e-9}
    plain, decayed = (fitted(**still, weight_decay=decay).model for decay in (0.0, 1.0))
    assert all(
        torch.equal(a, b) for a, b in zip(plain.parameters(), decayed.parameters(), strict=True)
    )
    plain, decayed = (
        dict(fitted(steps=1, weight_decay=decay).model.named_parameters()) for decay in (0.0, 1.0)
    )
    changed = {name for name in plain if not torch.equal(plain[name], decayed[name])}
    assert changed == {name for name, value in plain.items() if value.ndim > 1}


@pytest.mark.parametrize(
    ("data", "more", "says"),
    [
        ((np.zeros((2, 8, 8, 3), np.float32), np.array([0, 1])), {}, "found float32"),
        ((np.zeros((2, 8, 9, 3), np.uint8), np.array([0, 1])), {}, r"\(2, 8, 9, 3\)"),
        ((np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 3])), {}, "2 classes from 0 to 2"),
        ((np.zeros((2, 8, 8, 3), np.uint8), np.array([0])), {}, "2 classes from 0 to 2"),
        ((np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1])), {"probability": 0.5}, "a source"),
    ],
    ids=["floats", "oblong", "class", "count", "source"],
)
def test_arguments_that_do_not_fit_are_refused(
    fitted: Fit, data: Rows, more: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        fitted(data=data, **more)


def test_no_image_at_all_is_the_owner_s_problem(fitted: Fit) -> None:
    with pytest.raises(InputProblem) as caught:
        fitted(data=(np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, np.int64)))
    assert caught.value.code == "empty_dataset"


def test_checkpoints_need_a_folder(rows: Make) -> None:
    with pytest.raises(ValueError, match="scratch"):
        fit(*rows(), 3, spec_of(), 0, on_checkpoint=lambda _path, _step: None)


def test_a_batch_is_mixed_in_one_way_only() -> None:
    with pytest.raises(ValidationError, match=r"`mixup` is 0\.4 and `cutmix` 1, one of them"):
        spec_of(mixup=0.4, cutmix=1.0)

"""What every augmenter must do. A new method adds itself to `augmenters.AUGMENTERS` and inherits it all.

An exemption is an entry of `exempt` with its reason, which pytest prints.
"""

from pathlib import Path

import numpy as np
import pytest

from models.errors import Interrupted
from models.planning.spec import PlanSpec
from tests.models.augmenters import (
    AUGMENTERS,
    NAMES,
    SUBDOMAINS,
    UNSEEN,
    Augmenter,
    Rows,
    Trained,
)


@pytest.fixture(params=AUGMENTERS, ids=lambda augmenter: augmenter.name)
def augmenter(request: pytest.FixtureRequest) -> Augmenter:
    chosen: Augmenter = request.param
    reason = chosen.exempt.get(request.function.__name__)
    if reason:
        pytest.skip(reason)
    return chosen


@pytest.fixture
def rows(augmenter: Augmenter) -> Rows:
    return augmenter.rows()


@pytest.fixture
def trained(augmenter: Augmenter, rows: Rows, tmp_path: Path) -> Trained:
    return augmenter.train(rows, NAMES, 3, tmp_path)


def test_a_plan_is_filled_with_finite_items_like_those_of_the_data(
    augmenter: Augmenter, trained: Trained
) -> None:
    cells, counters = augmenter.planned()
    x = trained.draw(cells, counters, seed=1)
    one = 0 if augmenter.lonely else 39
    wanted = [0, 0, 14, 14, 18, 19, 19, 20] if augmenter.subdomains else [0, 28, 37, one]
    assert np.bincount(cells, minlength=4).tolist() == wanted
    assert (x.shape, x.dtype) == ((len(cells), *augmenter.shape), augmenter.dtype)
    assert np.isfinite(x).all()
    assert len(np.unique(x.reshape(len(x), -1), axis=0)) == len(x)
    assert list(trained.classes) == list(NAMES)


def test_items_have_the_label_they_were_asked_for(augmenter: Augmenter, trained: Trained) -> None:
    cells, counters = augmenter.planned()
    drawn = trained.draw(cells, counters, seed=1).reshape(len(cells), -1)
    labels = augmenter.label(cells)
    # Loose on purpose, since these generators are hardly trained: the classes lie on a line, and
    # items of classes with few examples come in the order of the classes.
    means = [drawn[labels == label][:, 1:].mean() for label in np.unique(labels)]
    assert len(means) >= 2
    assert means == sorted(means)


def test_rows_of_a_cell_that_was_never_seen_lie_on_its_subdomain_s_side(
    augmenter: Augmenter, trained: Trained
) -> None:
    if not augmenter.subdomains:
        pytest.skip("knows no subdomains")
    plan = PlanSpec(cells=[{"label": "one", "subdomain": name, "rows": 60} for name in SUBDOMAINS])
    cells, counters = augmenter.planned(plan)
    assert np.bincount(cells).tolist() == [0, 0, 0, 0, 0, 0, 60, 60]
    drawn = trained.draw(cells, counters, seed=1)
    seen, unseen = drawn[cells == UNSEEN - 1], drawn[cells == UNSEEN]
    assert unseen[:, 0].mean() - seen[:, 0].mean() > 0.5
    assert unseen[:, 1:].mean() > 4, "the middle of all rows lies at 1.1, the class at 9"


def test_equal_seeds_give_equal_bytes(augmenter: Augmenter, rows: Rows, tmp_path: Path) -> None:
    cells, counters = augmenter.planned()
    a = augmenter.train(rows, NAMES, 3, tmp_path).draw(cells, counters, seed=1)
    b = augmenter.train(rows, NAMES, 3, tmp_path).draw(cells, counters, seed=1)
    assert a.tobytes() == b.tobytes()


def test_other_seeds_give_other_items(augmenter: Augmenter, rows: Rows, tmp_path: Path) -> None:
    cells, counters = augmenter.planned()
    trained = augmenter.train(rows, NAMES, 3, tmp_path)
    other = augmenter.train(rows, NAMES, 4, tmp_path)
    first = trained.draw(cells, counters, seed=1)
    assert not np.allclose(first, trained.draw(cells, counters, seed=2))
    assert not np.allclose(first, other.draw(cells, counters, seed=1))


def test_training_leaves_the_global_random_state_alone(
    augmenter: Augmenter, rows: Rows, tmp_path: Path
) -> None:
    import torch

    before = torch.get_rng_state()
    augmenter.train(rows, NAMES, 3, tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_an_empty_plan_gives_nothing(augmenter: Augmenter, trained: Trained) -> None:
    nothing = np.empty(0, dtype=np.int64)
    assert trained.draw(nothing, nothing, seed=1).shape == (0, *augmenter.shape)


def test_a_class_of_one_example_gets_items_that_differ(
    augmenter: Augmenter, trained: Trained
) -> None:
    cell = UNSEEN - 1 if augmenter.subdomains else 3
    x = trained.draw(np.full(20, cell), np.arange(20), seed=1)
    assert np.isfinite(x).all()
    assert x.std(axis=0).min() > 1e-3


def test_an_item_does_not_depend_on_its_shard(augmenter: Augmenter, trained: Trained) -> None:
    cells, counters = augmenter.planned()
    whole = trained.draw(cells, counters, seed=1)
    order = np.random.default_rng(0).permutation(len(cells))
    for batch_size in (64, 17):
        cut = np.empty_like(whole)
        for shard in np.array_split(order, 3):
            cut[shard] = trained.draw(cells[shard], counters[shard], 1, batch_size)
        np.testing.assert_allclose(cut.astype(float), whole, rtol=0, atol=augmenter.tolerance)


def test_a_generator_survives_its_folder(
    augmenter: Augmenter, trained: Trained, tmp_path: Path
) -> None:
    trained.save(tmp_path / "kept")
    cells, counters = augmenter.planned()
    again = augmenter.load(tmp_path / "kept")
    a, b = trained.draw(cells, counters, seed=1), again.draw(cells, counters, seed=1)
    assert a.tobytes() == b.tobytes()
    assert list(again.classes) == list(NAMES)


def test_equal_generators_are_equal_files(augmenter: Augmenter, rows: Rows, tmp_path: Path) -> None:
    for name in ("a", "b"):
        augmenter.train(rows, NAMES, 3, tmp_path).save(tmp_path / name)
    files = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert "config.json" in files
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_an_interrupted_training_resumes_bit_for_bit(
    augmenter: Augmenter, rows: Rows, tmp_path: Path
) -> None:
    whole = augmenter.train(rows, NAMES, 3, tmp_path)
    whole.save(tmp_path / "whole")
    kept: list[Path] = []

    def keep(path: Path, step: int) -> None:
        kept.append(path.rename(tmp_path / f"kept-{step}"))

    asked = iter(range(10_000))
    with pytest.raises(Interrupted):
        augmenter.train(
            rows, NAMES, 3, tmp_path, on_checkpoint=keep, should_stop=lambda: next(asked) == 11
        )
    assert len(kept) == 2, "one on schedule, one when stopped"
    for checkpoint in kept:
        resumed = augmenter.train(rows, NAMES, 3, tmp_path, resume=checkpoint)
        resumed.save(tmp_path / "resumed")
        for file in (tmp_path / "whole").iterdir():
            assert file.read_bytes() == (tmp_path / "resumed" / file.name).read_bytes()


def test_a_checkpoint_of_another_training_is_refused(
    augmenter: Augmenter, rows: Rows, tmp_path: Path
) -> None:
    kept: list[Path] = []
    augmenter.train(rows, NAMES, 3, tmp_path, on_checkpoint=lambda path, _step: kept.append(path))
    with pytest.raises(ValueError, match="other settings"):
        augmenter.train(rows, NAMES, 4, tmp_path, resume=kept[0])


def test_progress_is_told_up_to_the_end(augmenter: Augmenter, rows: Rows, tmp_path: Path) -> None:
    told: list[tuple[int, int, float]] = []
    augmenter.train(rows, NAMES, 3, tmp_path, on_progress=lambda *a: told.append(a))
    steps = [step for step, _, _ in told]
    assert steps == sorted(set(steps))
    assert told[-1][0] == told[-1][1]
    assert all(np.isfinite(loss) for _, _, loss in told)

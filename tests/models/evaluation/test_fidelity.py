"""Fidelity and novelty where the truth is known: fresh draws, copies, shifts, too few rows."""

import json
from dataclasses import replace

import numpy as np
import pytest

from models.evaluation.data import EvaluationData, LabelledRows
from models.evaluation.fidelity import measure_fidelity
from models.evaluation.matching import level, match, match_two
from models.evaluation.two_samples import frechet_distance, neighbourhoods, two_sample_test

DIM, CLASSES = 12, 4
MEANS = 2.0 * np.random.default_rng(7).standard_normal((CLASSES, DIM))


def drawn(counts, seed, spread=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(CLASSES), counts)
    x = MEANS[y] + shift + spread * rng.standard_normal((len(y), DIM))
    return LabelledRows(x.astype(np.float32), y)


@pytest.fixture(scope="module")
def data():
    """A long tail to train on, and balanced rows held out."""
    return EvaluationData(
        drawn([400, 200, 60, 20], 0),
        drawn([90] * 4, 1),
        drawn([150] * 4, 2),
        ("alpha", "beta", "gamma", "delta"),
    )


@pytest.fixture(scope="module")
def fresh(data):
    return measure_fidelity(data, drawn([50, 250, 390, 430], 3)).figures


def figures(data, synthetic, **more):
    return measure_fidelity(data, synthetic, **more).figures


def test_fresh_draws_of_the_truth_are_what_the_reference_says(fresh):
    assert fresh["c2st"].low < 0.5 < fresh["c2st"].high
    for name in ("precision", "recall", "coverage"):
        assert fresh[name].value == pytest.approx(fresh[name].reference, abs=0.06)
    assert fresh["density"].value == pytest.approx(fresh["density"].reference, abs=0.1)
    distance = fresh["frechet_distance"]
    assert 0.6 < distance.value / distance.reference < 1.6
    assert fresh["nearest_ratio"].value == pytest.approx(1.0, abs=0.06)
    assert fresh["near_share_5"].value < 0.1
    assert fresh["copy_share"].value == 0


def test_copies_of_training_rows_are_found_and_look_perfect_otherwise(data):
    rows = np.concatenate([np.flatnonzero(data.train.y == c)[:20] for c in range(CLASSES)])
    rows = np.repeat(rows, 4)
    found = figures(data, LabelledRows(data.train.x[rows], data.train.y[rows]))
    assert found["copy_share"].value == 1
    assert found["copy_share"].reference == 0
    assert found["nearest_ratio"].value == pytest.approx(0, abs=1e-6)
    assert found["near_share_1"].value == found["near_share_5"].value == 1
    assert found["precision"].value > 0.5


def test_one_copy_among_many_rows_is_found(data):
    made = drawn([50] * 4, 3)
    x = made.x.copy()
    x[17] = data.train.x[5]
    assert figures(data, replace(made, x=x))["copy_share"].value == pytest.approx(1 / 200)


def test_a_copy_that_was_rounded_is_a_copy_still(data):
    rows = np.arange(400, 480)
    rounded = data.train.x[rows] * np.float32(1 + 2e-7)
    made = LabelledRows(rounded, data.train.y[rows])
    assert not np.array_equal(rounded, data.train.x[rows])
    assert figures(data, made)["copy_share"].value == 1


def test_near_copies_are_nearer_than_held_out_rows(data):
    rows = np.arange(400, 600)
    noise = 0.05 * np.random.default_rng(0).standard_normal((200, DIM)).astype(np.float32)
    found = figures(data, LabelledRows(data.train.x[rows] + noise, data.train.y[rows]))
    assert found["copy_share"].value == 0
    assert found["nearest_ratio"].value < 0.2
    assert found["near_share_5"].value == 1


def test_the_distance_grows_with_a_shift_and_a_classifier_sees_it(data, fresh):
    near, far = (figures(data, drawn([300] * 4, 3, shift=shift)) for shift in (0.5, 1.5))
    distances = [found["frechet_distance"].value for found in (fresh, near, far)]
    assert distances[1] > 2 * distances[0]
    assert distances[2] > 4 * distances[1]
    assert near["c2st"].low > 0.5
    assert far["c2st"].value > 0.9
    assert far["precision"].value < 0.1
    assert far["nearest_ratio"].value > 1.3
    # The reference knows nothing of what is synthetic.
    assert near["c2st"].reference < 0.6


def test_a_wrong_variance_is_seen_though_every_mean_is_right(data):
    wide, narrow = (figures(data, drawn([300] * 4, 3, spread=spread)) for spread in (1.5, 0.5))
    assert wide["c2st"].low > 0.5
    assert narrow["c2st"].low > 0.5
    assert wide["precision"].value < 0.5 < narrow["precision"].value
    assert narrow["recall"].value < 0.5
    assert narrow["nearest_ratio"].value < 0.8
    assert wide["nearest_ratio"].value > 1.2


def test_a_class_that_is_not_made_counts_on_neither_side(data):
    """Without matching, three classes against four would be told apart by the mixture alone."""
    made = drawn([0, 300, 300, 300], 3)
    found = measure_fidelity(data, made)
    assert found.classes == 3
    assert found.left_out == ()
    assert found.figures["c2st"].low < 0.5 < found.figures["c2st"].high


def test_a_class_that_cannot_be_compared_is_named(data):
    kept = data.test.y != 2
    bare = replace(data, test=LabelledRows(data.test.x[kept], data.test.y[kept]))
    assert measure_fidelity(bare, drawn([60] * 4, 3)).left_out == ("gamma",)


def test_too_few_rows_give_null_and_say_why(data):
    found = figures(data, drawn([12] * 4, 3))
    for name in ("frechet_distance", "precision", "c2st", "nearest_ratio"):
        assert found[name].value is None
        assert found[name].reason.startswith("48 ")
        assert "50 are needed" in found[name].reason
    some = figures(data, drawn([20] * 4, 3))
    assert some["c2st"].value is not None
    assert some["near_share_5"].value is not None
    assert "300 are needed" in some["near_share_1"].reason


def test_no_synthetic_row_is_no_error(data):
    found = measure_fidelity(data, LabelledRows(np.empty((0, DIM), np.float32), np.empty(0, int)))
    assert all(figure.value is None and figure.reason for figure in found.figures.values())
    assert found.histogram is None


def test_the_held_out_part_is_the_one_asked_for(data):
    shifted = replace(data, val=drawn([90] * 4, 1, shift=2.0))
    made = drawn([90] * 4, 3)
    assert figures(shifted, made, part="test")["c2st"].value < 0.6
    on_val = measure_fidelity(shifted, made, part="val")
    assert on_val.measured_on == "val"
    assert on_val.figures["c2st"].value > 0.9


def test_equal_seeds_give_equal_figures_as_strict_json(data):
    made = drawn([60, 200, 300, 300], 3)
    first, again = (measure_fidelity(data, made, seed=5).as_json() for _ in range(2))
    assert first == again
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    shares = first["histogram"]
    assert sum(shares["synthetic"]) == pytest.approx(1, abs=1e-4)
    assert sum(shares["held_out"]) == pytest.approx(1, abs=1e-4)


def test_the_unit_of_the_latents_changes_no_figure(data):
    made = drawn([60, 200, 300, 300], 3)
    small = EvaluationData(
        *(
            LabelledRows(part.x * np.float32(1 / 1024), part.y)
            for part in (data.train, data.val, data.test)
        ),
        data.classes,
    )
    found = figures(small, replace(made, x=made.x * np.float32(1 / 1024)))
    for name, figure in figures(data, made).items():
        assert found[name].value == pytest.approx(figure.value, rel=1e-6), name


def test_directions_keep_the_weight_that_the_heads_give_them(data):
    """What is wrong in a direction of little variance is hardly far from anything."""

    def flat(rows):
        x = rows.x.copy()
        x[:, 0] *= 1e-3
        return replace(rows, x=x)

    thin = replace(data, train=flat(data.train), test=flat(data.test))
    made = flat(drawn([300] * 4, 3))
    made.x[:, 0] += 5e-3
    found = figures(thin, made)
    assert found["precision"].value == pytest.approx(found["precision"].reference, abs=0.06)
    assert found["nearest_ratio"].value == pytest.approx(1, abs=0.06)


def test_cells_are_compared_with_their_own_kind():
    """Two subdomains far apart, one of them made and both held out: only like meets like."""

    def cells(counts, seed):
        rng = np.random.default_rng(seed)
        cell = np.repeat(np.arange(4), counts)
        x = 4.0 * np.eye(4, 6)[cell] + rng.standard_normal((len(cell), 6))
        return LabelledRows(x.astype(np.float32), cell // 2, subdomain=cell % 2)

    data = EvaluationData(
        cells([80, 60, 70, 0], 0), cells([40] * 4, 1), cells([90, 90, 90, 0], 2),
        ("cat", "dog"), ("day", "night"),
    )  # fmt: skip
    made = cells([0, 150, 0, 150], 3)
    found = measure_fidelity(data, made)
    assert found.figures["c2st"].value < 0.6
    assert found.figures["precision"].value > 0.7
    assert (found.classes, found.left_out) == (1, ("dog in night",))
    # A cell without a training row is compared all the same, where rows of it are held out.
    unseen = measure_fidelity(data, made, part="val")
    assert (unseen.classes, unseen.left_out) == (2, ())
    by_class = measure_fidelity(data, replace(made, subdomain=None))
    assert by_class.figures["c2st"].low > 0.6


def test_all_sides_have_the_same_classes_and_no_row_twice(data):
    made, held, train = (np.repeat(np.arange(3), n) for n in ([9, 40, 7], [30, 10, 9], [50, 4, 0]))
    found = match(made, held, train, 3, seed=1)
    assert found.counts.tolist() == [9, 7, 4]
    for side in (made[found.synthetic], held[found.real]):
        assert side.tolist() == [0] * 9 + [1] * 7 + [2] * 4
    reference = np.concatenate([train[found.reference_train], held[found.reference_held_out]])
    assert np.bincount(reference, minlength=3).tolist() == [9, 7, 4]
    assert not set(found.real) & set(found.reference_held_out)
    assert len(set(found.synthetic)) == len(found.synthetic)
    pair = match_two(made, held, 3, seed=1)
    assert np.bincount(made[pair[0]]).tolist() == np.bincount(held[pair[1]]).tolist() == [9, 10, 7]


def test_large_classes_give_way_first():
    assert level(np.array([100, 7, 3]), 30).tolist() == [20, 7, 3]
    assert level(np.array([2, 7, 3]), 30).tolist() == [2, 7, 3]
    assert level(np.array([5, 5, 5]), 2).tolist() == [1, 1, 1]
    assert level(np.array([0, 0]), 10).tolist() == [0, 0]


def test_the_frechet_distance_of_known_gaussians_is_the_formula():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((200_000, 3)), 2 * rng.standard_normal((200_000, 3)) + 1
    # |mean difference|² + Σ (σ_a - σ_b)²
    assert frechet_distance(a, b) == pytest.approx(3 + 3, rel=0.02)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_neighbourhoods_of_known_points():
    real, made = np.array([[0.0], [1.0], [2.0], [10.0]]), np.array([[0.5], [20.0]])
    found = neighbourhoods(real, np.concatenate([made, made + 0.1]), k=1)
    # Balls of radius 1, 1, 1 and 8: 0.5 and 0.6 lie in the first two, 20 and 20.1 in none.
    assert found.precision == 0.5
    assert found.coverage == 0.5
    assert found.density == 1.0
    assert found.recall == 0


def test_the_interval_of_the_classifier_holds_a_half_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(40):
        found = two_sample_test(*rng.standard_normal((2, 120, 6)))
        held += found.low <= 0.5 <= found.high
    assert held >= 36


def test_many_classes_of_equal_size_do_not_bring_the_classifier_below_a_half():
    rng = np.random.default_rng(4)
    means = np.repeat(3 * rng.standard_normal((60, 40)), 8, axis=0)
    scores = [two_sample_test(*(means + rng.standard_normal((2, 480, 40)))).value for _ in range(8)]
    assert np.mean(scores) == pytest.approx(0.5, abs=0.02)

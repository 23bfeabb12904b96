"""Classes left out: nothing of them trains, a bias is bought with other rows, leads are paired."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import unseen_classes
from benchmarks.left_out import Report, Said, Task, biased, choose_biases, harmonic, tasks
from benchmarks.left_out_arms import WORDS, Known, LeftOut, Trial
from benchmarks.longtail import spec_of
from benchmarks.longtail_data import LongTail
from models.planning.spec import PlanSpec

K = 20
COUNTS = np.maximum(4, (50 * 0.85 ** np.arange(K)).astype(int))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Pairs of classes of like vectors, whose means are linear in them."""
    folder, rng = tmp_path_factory.mktemp("unseen"), np.random.default_rng(0)
    vectors = rng.standard_normal((K // 2, 6))[np.arange(K) // 2] + 0.3 * rng.standard_normal(
        (K, 6)
    )
    means = np.abs(vectors @ rng.standard_normal((6, 16)))
    y, y_test = np.repeat(np.arange(K), COUNTS), np.repeat(np.arange(K), 8)
    x, x_test = (
        np.abs(2 * means[k] + 0.5 * rng.standard_normal((len(k), 16))).astype(np.float32)
        for k in (y, y_test)
    )
    names = np.array([f"class {label}" for label in range(K)])
    np.savez(folder / "tail.npz", x=x, y=y, x_test=x_test, y_test=y_test, classes=names)
    np.savez(folder / "vectors.npz", a=vectors, b=vectors**3, classes=names)
    return folder / "tail.npz", folder / "vectors.npz"


def test_no_row_of_a_class_left_out_trains_and_no_test_row_chooses(files):
    data = LongTail.read(files[0])
    y, test = data.dataset.y, set(data.test_rows.tolist())
    choosing, reporting = tasks(data)
    assert (len(choosing), len(reporting)) == (4, 6)
    for task in (*choosing, *reporting):
        assert not np.isin(y[task.train], task.out).any()
        assert not set(task.train) & set(task.held)
    assert all(set(task.held) == test for task in reporting)
    assert not any(set(task.held) & test for task in choosing)
    out = [set(task.out.tolist()) for task in (*choosing, *reporting)]
    assert sorted(label for one in out for label in one) == list(range(K))


def test_the_bias_is_the_one_that_balances_seen_and_left_out():
    y, out = np.repeat(np.arange(4), 10), np.array([3])
    logits = 5 * np.eye(4, dtype=np.float32)[y]
    logits[y == 3, 0] = 7.0  # class 3 is behind by two
    task = Task(out, np.empty(0, np.int64), np.arange(40))
    found = choose_biases([(logits, y, task)])
    assert found.harmonic == found.accuracy == 2.25
    assert found.h == 1.0
    assert (biased(logits, out, 2.25) == y).all()
    assert (biased(logits, out, 1.75) == y).mean() == 0.75


def test_h_is_zero_where_one_side_is_and_their_mean_where_both_are_alike():
    recalls = np.array([[1.0, 1.0, 0.0], [0.5, 0.5, 0.5], [1.0, 0.0, 0.25]])
    assert harmonic(recalls, np.array([2])).tolist() == pytest.approx([0, 0.5, 1 / 3])


def test_a_lead_in_h_is_the_difference_of_the_values_shown():
    rng = np.random.default_rng(0)
    y, outs = np.repeat(np.arange(4), 30), [np.array([0]), np.array([1])]
    said = []
    for share in (0.8, 0.5):
        right = rng.random((2, 3, len(y))) < share
        labels = np.where(right, y, (y + 1) % 4)
        said.append(Said(labels, labels, labels))
    report = Report(y, outs)
    lead = report.lead(*said)
    a, b = (report.values(one)["H"] for one in said)
    assert 100 * lead.mean == pytest.approx(a - b, abs=0.02)
    assert 0 < lead.low < lead.mean < lead.high
    accuracy = report.accuracy_lead(*said)
    values = [report.values(one)["accuracy"] for one in said]
    assert 100 * accuracy.mean == pytest.approx(values[0] - values[1], abs=0.02)


@pytest.mark.parametrize("arm", ["neighbour", "linear_ridge", "kernel_ridge"])
def test_closed_forms_put_a_class_left_out_where_its_relative_is(files, tmp_path, arm):
    data = LongTail.read(files[0])
    task = tasks(data)[1][0]
    with np.load(files[1]) as arrays:
        vectors = arrays["a"].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    spec = spec_of(data, quick=True)[0].model_copy(update={"plan": PlanSpec(per_class=20)})
    known = Known(data, [vectors], spec, tmp_path)
    left_out = LeftOut(known, task)
    trial, held_y = Trial(left_out, seed=0), left_out.held_y
    with_rows = trial.logits(arm)
    without = trial.logits("real")
    unseen = np.isin(held_y, task.out)

    def rank(logits: np.ndarray) -> float:
        own = np.take_along_axis(logits, held_y[:, None], 1)
        return float((logits > own)[unseen].sum(axis=1).mean())

    assert rank(with_rows) < rank(without) - 3


def test_the_command_ends_with_every_arm_and_what_was_chosen(files, run, small_networks):
    small_networks(unseen_classes)
    arguments = ["--data", files[0], "--vectors", f"{files[1]}:a,b", "--seeds", "1", "--quick"]
    told = run("unseen_classes", *arguments)
    assert set(told["rows"]) == set(WORDS)
    assert told["estimate"] == max(told["chosen_among"], key=told["chosen_among"].get)
    assert {"H", "accuracy", "neighbour", "shuffled"} <= set(told["reached"])

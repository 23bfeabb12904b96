"""Which edits are used: just below, at and above every threshold."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alia.filters import DECISIONS, Scores, class_thresholds, decide, large_share

ALL = ("semantic", "confidence", "duplicate")
T = np.array([0.5, 0.7, np.nan])
BELOW, AT, ABOVE = np.nextafter(0.7, 0), 0.7, np.nextafter(0.7, 1)


def scores(n: int, **known: Any) -> Scores:
    """Of n edits of class 1, good ones but for what is ``known``."""
    good: dict[str, Any] = {
        "label": np.ones(n, dtype=np.int64),
        "black": np.zeros(n, dtype=np.bool_),
        "semantic": np.full(n, 0.9),
        "confidence": np.tile([0.3, 0.4, 0.3], (n, 1)),
        "distance": np.ones(n),
        "twins": np.empty((0, 2), dtype=np.int64),
    }
    return Scores(**{name: np.asarray(value) for name, value in (good | known).items()})


def test_a_threshold_is_the_mean_probability_of_a_class_on_its_own_images() -> None:
    p = np.array([[0.2, 0.8, 0], [0.4, 0.6, 0], [0.9, 0.1, 0]])
    np.testing.assert_array_equal(class_thresholds(p, np.array([0, 0, 1])), [0.30000000000000004, 0.1, np.nan])  # fmt: skip


def test_no_images_leave_every_threshold_open() -> None:
    assert np.isnan(class_thresholds(np.empty((0, 3)), np.empty(0, dtype=np.int64))).all()


def test_images_and_classes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rows of probabilities do not fit 1 classes"):
        class_thresholds(np.ones((2, 3)), np.array([0]))


@pytest.mark.parametrize(
    ("margin", "expected"),
    [(-1e-30, "semantic"), (0.0, "semantic"), (1e-30, "kept"), (np.nan, "semantic")],
)
def test_the_subject_must_be_likelier_than_every_negative(margin: float, expected: str) -> None:
    assert decide(scores(1, semantic=[margin]), ["semantic"]).tolist() == [expected]


@pytest.mark.parametrize(("sure", "kept"), [(BELOW, True), (AT, True), (ABOVE, False)])
@pytest.mark.parametrize(
    ("predicted", "decision"), [(1, "unchanged"), (0, "mislabelled"), (2, "mislabelled")]
)
def test_only_a_probability_above_the_label_s_threshold_drops(
    sure: float, kept: bool, predicted: int, decision: str
) -> None:
    p = np.full((1, 3), 0.01)
    p[0, predicted] = sure
    found = decide(scores(1, confidence=p), ["confidence"], T)
    assert found.tolist() == ["kept" if kept else decision]


def test_thresholds_of_the_class_predicted_are_an_option() -> None:
    sure_of_0 = scores(1, confidence=[[0.6, 0.3, 0.1]])
    assert decide(sure_of_0, ["confidence"], T, "label").tolist() == ["kept"]
    assert decide(sure_of_0, ["confidence"], T, "prediction").tolist() == ["mislabelled"]


def test_a_class_that_was_never_seen_keeps_all() -> None:
    unseen = scores(2, label=[2, 1], confidence=[[1, 0, 0], [0, 0, 1]])
    assert decide(unseen, ["confidence"], T, "label").tolist() == ["kept", "mislabelled"]
    assert decide(unseen, ["confidence"], T, "prediction").tolist() == ["mislabelled", "kept"]


def test_between_equal_probabilities_an_edit_counts_as_its_own_class() -> None:
    even = scores(2, label=[0, 1], confidence=[[0.5, 0.5, 0]] * 2)
    low = np.full(3, 0.4)
    assert decide(even, ["confidence"], low).tolist() == ["unchanged"] * 2


@pytest.mark.parametrize(
    ("apart", "expected"), [(0.019, "duplicate"), (0.02, "kept"), (0.021, "kept"), (np.nan, "kept")]
)
def test_an_edit_nearer_than_the_distance_to_its_source_is_a_duplicate(
    apart: float, expected: str
) -> None:
    found = decide(scores(1, distance=[apart]), ["duplicate"], distance=0.02)
    assert found.tolist() == [expected]


def test_of_twins_the_first_kept_one_stays_and_a_dropped_one_has_no_say() -> None:
    chain = scores(5, twins=[[2, 3], [0, 1], [1, 2], [3, 4]], semantic=[1, 1, 1, -1, 1])
    found = decide(chain, ["semantic", "duplicate"])
    # 1 falls to 0, so 2 stays; 3 is spoilt, so 4 stays.
    assert found.tolist() == ["kept", "duplicate", "kept", "semantic", "kept"]


def test_the_first_reason_counts_in_an_order_that_never_changes() -> None:
    bad = np.tile([0.01, 0.98, 0.01], (4, 1))
    worst = scores(
        4, black=np.zeros(4) < [1, 0, 0, 0], semantic=[-1, -1, 1, 1], confidence=bad,
        distance=np.zeros(4), twins=[[0, 3], [1, 2]],
    )  # fmt: skip
    found = decide(worst, ALL, T, distance=0.02).tolist()
    assert found == ["black", "semantic", "unchanged", "unchanged"]
    assert decide(worst, ["duplicate"], distance=0.02).tolist() == ["black"] + ["duplicate"] * 3
    assert decide(worst, []).tolist() == ["black", "kept", "kept", "kept"]


def test_filters_that_do_not_run_need_no_scores_and_those_that_run_do() -> None:
    bare = scores(2)
    bare = Scores(bare.label, bare.black)
    assert decide(bare, []).tolist() == ["kept", "kept"]
    for name in ALL:
        with pytest.raises(ValueError, match=f"the {name} filter has nothing to judge by"):
            decide(bare, [name], T)
    with pytest.raises(ValueError, match="confidence filter has nothing"):
        decide(scores(2), ["confidence"])


def test_scores_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="semantic is of 1 edits, label of 2"):
        scores(2, semantic=[0.5])
    with pytest.raises(ValueError, match=r"2 thresholds do not fit probabilities of \(1, 3\)"):
        decide(scores(1), ["confidence"], T[:2])


def test_no_edits_have_no_decisions() -> None:
    none = scores(0, confidence=np.empty((0, 3)))
    assert decide(none, ALL, T).tolist() == []
    assert [one.share for one in large_share(decide(none, ALL, T), ALL)] == [0, 0, 0]


@given(st.data())
def test_a_further_filter_never_brings_an_edit_back(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    known = scores(
        n, label=rng.integers(0, 3, n), black=rng.random(n) < 0.1, semantic=rng.normal(0.2, 0.3, n),
        confidence=rng.dirichlet([0.3] * 3, n),
    )  # fmt: skip
    names = data.draw(st.sets(st.sampled_from(["semantic", "confidence"])))
    more = decide(known, [*names, "semantic", "confidence"], T)
    fewer = decide(known, sorted(names), T)
    assert set(more.tolist()) <= set(DECISIONS)
    assert not ((fewer != "kept") & (more == "kept")).any()
    # Of what a set of filters drops alone it says the same as before.
    alone = decide(known, sorted(names, reverse=True), T)
    assert (alone == fewer).all()


def test_a_filter_that_drops_a_large_share_is_named_with_what_it_dropped() -> None:
    found = np.array(["kept"] * 5 + ["unchanged"] + ["mislabelled"] * 4 + ["semantic"] * 2)
    semantic, confidence = large_share(found)
    assert (semantic.name, semantic.dropped, semantic.sentence) == ("semantic", 2, None)
    assert (confidence.name, confidence.dropped) == ("confidence", 5)
    assert confidence.share == pytest.approx(5 / 12)
    assert confidence.sentence is not None
    assert "dropped 42% of the edits (8% as unchanged, 33% as mislabelled)" in confidence.sentence


def test_a_quarter_is_not_yet_a_large_share() -> None:
    quarter = np.array(["kept"] * 3 + ["duplicate"])
    (told,) = large_share(quarter)
    assert (told.share, told.sentence) == (0.25, None)
    (more,) = large_share(np.append(quarter, "duplicate"))
    assert more.sentence is not None
    assert more.sentence.startswith("The duplicate filter dropped 40% of the edits: ")


def test_black_edits_are_told_as_failures_and_idle_filters_as_such() -> None:
    black, semantic = large_share(np.array(["black", "kept"]), ["semantic"])
    assert black.sentence is not None
    assert black.sentence.startswith("50% of the edits came out black")
    assert (semantic.name, semantic.dropped, semantic.share) == ("semantic", 0, 0)

"""Heads that do not start from nothing: a head that came along, classes that are like others."""

import numpy as np
import pytest

from models.classifiers import train
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.errors import InputProblem

COUNTS = np.array([300, 60, 12])
PRIOR = COUNTS / COUNTS.sum()
HELD = HeadSpec(weight_decay=1.0)
"""A penalty so strong that a head stays about where it starts."""


def rows(seed=0, dim=4):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(3), COUNTS)
    means = 1.5 * np.eye(3, dim)
    return (means[y] + rng.standard_normal((len(y), dim))).astype(np.float32), y


def given(dim=4):
    rng = np.random.default_rng(5)
    return rng.standard_normal((3, dim)).astype(np.float32), np.array([3.0, 1.0, -4.0], np.float32)


def centred(logits):
    return logits - logits.mean(axis=1, keepdims=True)


def test_the_stronger_the_penalty_the_closer_a_head_stays_to_the_one_it_started_at():
    x, y = rows()
    weight, bias = given()
    theirs = centred(x @ weight.T + bias)
    gaps = []
    for penalty in (1e-3, 0.1, 1.0):
        spec = HeadSpec(weight_decay=penalty)
        head = fit_head(x, y, 3, spec, 0, initial=(weight, bias))
        gaps.append(np.abs(centred(head.logits(x)) - theirs).mean())
    assert gaps[0] > 1.5 * gaps[1] > 3 * gaps[2]
    head = fit_head(x, y, 3, HELD, 0)
    assert np.abs(centred(head.logits(x)) - theirs).mean() > 1.5 * gaps[2]


def started(x, y, spec, n_real=None):
    """Return the head before its first step, by way of a training that cannot move it."""
    spec = spec.model_copy(update={"epochs": 1, "learning_rate": 1e-12})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "FULL_BATCH_ROWS", 0)
        return fit_head(x, y, 3, spec, 0, n_real=n_real, initial=given())


def test_a_head_that_came_along_starts_without_the_prior_that_the_loss_brings():
    x, y = rows()
    weight, bias = given()
    plain = started(x, y, HeadSpec()).logits(x)
    np.testing.assert_allclose(centred(plain), centred(x @ weight.T + bias), atol=1e-4)
    adjusted = started(x, y, HeadSpec(loss="logit_adjusted", adjustment=1.5)).logits(x)
    shifted = x @ weight.T + bias - 1.5 * np.log(PRIOR)
    np.testing.assert_allclose(centred(adjusted), centred(shifted), atol=1e-4)


def test_rows_that_balance_the_classes_take_the_prior_out_of_the_head_they_join():
    x, y = rows()
    weight, bias = given()
    more = np.repeat([1, 2], [240, 288])
    both = np.concatenate([x, np.zeros((len(more), 4), np.float32)]), np.concatenate([y, more])
    balanced = started(*both, HeadSpec(), n_real=len(y)).logits(x)
    np.testing.assert_allclose(
        centred(balanced), centred(x @ weight.T + bias - np.log(PRIOR)), atol=1e-4
    )


@pytest.mark.parametrize("shapes", [((3, 5), (3,)), ((2, 4), (2,)), ((3, 4), (4,))])
def test_a_head_of_another_shape_is_refused_with_both_shapes(shapes):
    x, y = rows()
    with pytest.raises(InputProblem) as told:
        fit_head(x, y, 3, HeadSpec(), 0, initial=tuple(np.zeros(s, np.float32) for s in shapes))
    assert (told.value.code, told.value.param) == ("head_mismatch", "initial")
    assert str(shapes[0]) in told.value.detail
    assert "(3, 4)" in told.value.detail


def alike():
    """Classes 1 and 2 alike, class 0 apart."""
    return np.array([[1, 0, 0], [0, 1, 0.95], [0, 0.95, 1]])


def test_a_rare_class_gets_weights_like_those_of_the_classes_it_is_like():
    x, y = rows()
    spec = HeadSpec(head="kernel", semantic_share=0.9)
    weight = fit_head(x, y, 3, spec, 0, similarity=alike()).network.weight.detach().numpy()
    plain = fit_head(x, y, 3, HeadSpec(), 0).network.weight.detach().numpy()

    def cosine(w):
        return w[1] @ w[2] / np.linalg.norm(w[1]) / np.linalg.norm(w[2])

    assert cosine(weight) > cosine(plain) + 0.3


def test_without_vectors_of_meaning_a_kernel_head_is_linear():
    x, y = rows()
    linear = fit_head(x, y, 3, HeadSpec(), 0).logits(x)
    kernel = HeadSpec(head="kernel")
    np.testing.assert_array_equal(fit_head(x, y, 3, kernel, 0).logits(x), linear)
    apart = fit_head(x, y, 3, kernel, 0, similarity=np.eye(3)).logits(x)
    np.testing.assert_allclose(apart, linear, atol=1e-3)


def test_in_batches_a_kernel_head_comes_to_the_same(monkeypatch):
    x, y = rows()
    spec = HeadSpec(head="kernel", semantic_share=0.7, epochs=120, batch_size=512)
    exact = fit_head(x, y, 3, spec, 0, similarity=alike(), initial=given()).logits(x)
    monkeypatch.setattr(train, "FULL_BATCH_ROWS", 0)
    slow = fit_head(x, y, 3, spec, 0, similarity=alike(), initial=given()).logits(x)
    np.testing.assert_allclose(centred(exact), centred(slow), atol=0.05)


@pytest.mark.parametrize(
    "similarity",
    [
        np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]),  # no kernel: one is negative
        np.zeros((3, 3)),
        np.ones((3, 3)),
    ],
)
def test_similarities_that_are_no_kernel_are_made_one(similarity):
    x, y = rows()
    spec = HeadSpec(head="kernel", semantic_share=0.99)
    head = fit_head(x, y, 3, spec, 0, similarity=similarity)
    assert np.isfinite(head.logits(x)).all()
    assert (head.predict(x) == y).mean() > 0.8


def test_similarities_of_other_classes_are_refused():
    x, y = rows()
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        fit_head(x, y, 3, HeadSpec(head="kernel"), 0, similarity=np.eye(4))

"""How arms are made comparable: equal steps or none, real rows for prior and penalty."""

import numpy as np
import pytest

from models.classifiers import train
from models.classifiers.batches import optimiser_steps
from models.classifiers.objective import class_shares
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head, seedless, weight_decay
from models.errors import Interrupted
from models.front.blocks import AdapterBlock

QUICK = HeadSpec(epochs=2)
IN_BATCHES = HeadSpec(head="mlp", hidden=16, epochs=2)


def long_tail(seed=0, rare=8):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], [400, rare])
    x = rng.standard_normal((len(y), 5)).astype(np.float32)
    x[y == 1, 0] += 1.5
    return x, y


def counted_steps(x, y, spec):
    calls = []
    fit_head(x, y, 2, spec, seed=0, should_stop=lambda: bool(calls.append(1)))
    return len(calls)


def test_in_batches_more_rows_are_no_more_steps():
    x, y = long_tail()
    steps = optimiser_steps(IN_BATCHES)
    assert counted_steps(x, y, IN_BATCHES) == steps
    assert counted_steps(np.tile(x, (5, 1)), np.tile(y, 5), IN_BATCHES) == steps
    assert counted_steps(x[-9:], y[-9:], IN_BATCHES) == steps


@pytest.mark.parametrize("loss", ["cross_entropy", "logit_adjusted"])
def test_a_linear_head_is_where_longest_training_in_batches_ends(loss, monkeypatch):
    x, y = long_tail(rare=40)
    more = np.concatenate([x, x[-40:] + 0.1]), np.concatenate([y, y[-40:]])
    spec = HeadSpec(loss=loss, epochs=120, batch_size=512)
    exact = fit_head(*more, 2, spec, 0, n_real=len(y)).logits(x)
    monkeypatch.setattr(train, "FULL_BATCH_ROWS", 0)
    slow = fit_head(*more, 2, spec, 0, n_real=len(y)).logits(x)
    np.testing.assert_allclose(exact, slow, atol=0.03)


def test_a_linear_head_follows_from_its_rows_alone():
    x, y = long_tail()
    np.testing.assert_array_equal(
        fit_head(x, y, 2, QUICK, 0).logits(x), fit_head(x, y, 2, QUICK, 1).logits(x)
    )
    assert seedless(QUICK, len(y))
    for spec, blocks in ((IN_BATCHES, []), (QUICK, [AdapterBlock(5, 8)])):
        assert not seedless(spec, len(y), blocks)
    assert not seedless(QUICK, train.FULL_BATCH_ROWS + 1)


def test_a_column_of_zeros_stays_finite():
    x, y = long_tail()
    x[:, 2] = 0.0
    assert np.isfinite(fit_head(x, y, 2, QUICK, 0).logits(x + 1)).all()


def test_without_a_penalty_a_class_without_rows_stays_finite():
    x, y = long_tail()
    head = fit_head(x, y, 3, HeadSpec(weight_decay=0, loss="logit_adjusted"), 0)
    assert np.isfinite(head.logits(x)).all()


def test_latents_are_taken_as_they_are():
    x, y = long_tail()
    shrunk = fit_head(0.01 * x, y, 2, QUICK, 0).logits(0.01 * x)
    assert np.ptp(shrunk[:, 1]) < 0.1 * np.ptp(fit_head(x, y, 2, QUICK, 0).logits(x)[:, 1])


def test_adjusting_logits_raises_the_rare_class_the_more_the_larger_the_factor():
    x, y = long_tail()
    rare = [(fit_head(x, y, 2, HeadSpec(), 0).predict(x) == 1).sum()]
    for factor in (1.0, 1.5):
        spec = HeadSpec(loss="logit_adjusted", adjustment=factor)
        rare.append((fit_head(x, y, 2, spec, 0).predict(x) == 1).sum())
    assert rare[0] < 20
    assert rare[1] > 60
    assert rare[2] > rare[1] + 10


def test_a_given_prior_replaces_that_of_the_rows():
    x, y = long_tail()
    spec = HeadSpec(loss="logit_adjusted")
    flat = fit_head(x, y, 2, spec, 0, prior=np.array([0.5, 0.5])).predict(x)
    np.testing.assert_array_equal(flat, fit_head(x, y, 2, HeadSpec(), 0).predict(x))


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_the_adjusted_loss_weighs_added_rows_as_the_spec_says(head):
    x, y = long_tail()
    # Added rows say that class 1 is everywhere: the heavier they weigh, the more it is believed.
    more_x = np.random.default_rng(1).standard_normal((400, 5)).astype(np.float32)
    both_x, both_y = np.concatenate([x, more_x]), np.concatenate([y, np.ones(400, int)])
    margins = []
    for weight in (0.0, 0.2, 2.0):
        spec = HeadSpec(
            head=head, hidden=16, epochs=5, loss="logit_adjusted", synthetic_weight=weight
        )
        logits = fit_head(both_x, both_y, 2, spec, 0, n_real=len(x)).logits(more_x)
        margins.append((logits[:, 1] - logits[:, 0]).mean())
    assert margins[0] < margins[1] < margins[2]


@pytest.mark.parametrize("spec", [QUICK, IN_BATCHES])
def test_a_stop_is_obeyed_at_the_next_step(spec):
    x, y = long_tail()
    seen = []
    with pytest.raises(Interrupted):
        fit_head(x, y, 2, spec, 0, should_stop=lambda: seen.append(1) or len(seen) == 4)
    assert len(seen) == 4


@pytest.mark.parametrize(("rows", "n_real"), [(407, None), (408, 0), (408, 409)])
def test_arguments_that_do_not_fit_are_refused(rows, n_real):
    x, y = long_tail()
    with pytest.raises(ValueError, match="do not fit"):
        fit_head(x[:rows], y, 2, QUICK, 0, n_real=n_real)


def test_a_class_without_rows_has_a_share_above_zero():
    np.testing.assert_allclose(class_shares(np.array([0, 0, 2]), 3), [0.5, 0.25, 0.25])


def test_the_default_penalty_fades_as_real_rows_grow_and_a_given_one_does_not():
    assert [weight_decay(HeadSpec(), n) for n in (2, 100, 10_000)] == [1.0, 0.1, 0.001]
    assert weight_decay(HeadSpec(weight_decay=0.03), 100) == 0.03


def test_added_rows_do_not_weaken_the_penalty():
    x, y = long_tail()
    again = np.concatenate([x, x]), np.concatenate([y, y])
    alone = fit_head(x, y, 2, QUICK, 0)
    doubled = fit_head(*again, 2, QUICK, 0, n_real=len(y))
    np.testing.assert_allclose(doubled.logits(x), alone.logits(x), atol=1e-2)

"""How arms are made comparable: equal steps, real rows for the scale, the real prior."""

import numpy as np
import pytest

from models.classifiers.spec import HeadSpec
from models.classifiers.train import class_shares, fit_head, optimiser_steps, weight_decay
from models.errors import Interrupted

QUICK = HeadSpec(epochs=2)


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


def test_more_rows_are_no_more_steps():
    x, y = long_tail()
    steps = optimiser_steps(QUICK)
    assert counted_steps(x, y, QUICK) == steps
    assert counted_steps(np.tile(x, (5, 1)), np.tile(y, 5), QUICK) == steps
    assert counted_steps(x[-9:], y[-9:], QUICK) == steps


def test_synthetic_rows_do_not_move_the_standardisation():
    x, y = long_tail()
    far = np.full((50, 5), 100, np.float32)
    head = fit_head(
        np.concatenate([x, far]), np.concatenate([y, np.ones(50, int)]), 2, QUICK, 0, n_real=len(x)
    )
    np.testing.assert_allclose(head.network.mean.numpy(), x.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(head.network.scale.numpy(), x.std(axis=0), rtol=1e-4)


def test_a_constant_column_stays_finite():
    x, y = long_tail()
    x[:, 2] = 7.3
    assert np.isfinite(fit_head(x, y, 2, QUICK, 0).logits(x + 1)).all()


def test_adjusting_logits_raises_the_rare_class():
    x, y = long_tail()
    plain = fit_head(x, y, 2, HeadSpec(epochs=5), 0).predict(x)
    adjusted = fit_head(x, y, 2, HeadSpec(epochs=5, loss="logit_adjusted"), 0).predict(x)
    assert (plain == 1).sum() < 20
    assert (adjusted == 1).sum() > 60


def test_a_given_prior_replaces_that_of_the_rows():
    x, y = long_tail()
    spec = HeadSpec(epochs=5, loss="logit_adjusted")
    flat = fit_head(x, y, 2, spec, 0, prior=np.array([0.5, 0.5])).predict(x)
    np.testing.assert_array_equal(flat, fit_head(x, y, 2, HeadSpec(epochs=5), 0).predict(x))


def test_the_adjusted_loss_weighs_added_rows_as_the_spec_says():
    x, y = long_tail()
    # Added rows say that class 1 is everywhere: the heavier they weigh, the more it is believed.
    more_x = np.random.default_rng(1).standard_normal((400, 5)).astype(np.float32)
    both_x, both_y = np.concatenate([x, more_x]), np.concatenate([y, np.ones(400, int)])
    margins = []
    for weight in (0.0, 0.2, 2.0):
        spec = HeadSpec(epochs=5, loss="logit_adjusted", synthetic_weight=weight)
        logits = fit_head(both_x, both_y, 2, spec, 0, n_real=len(x)).logits(more_x)
        margins.append((logits[:, 1] - logits[:, 0]).mean())
    assert margins[0] < margins[1] < margins[2]


def test_a_stop_is_obeyed_at_the_next_step():
    x, y = long_tail()
    seen = []
    with pytest.raises(Interrupted):
        fit_head(x, y, 2, QUICK, 0, should_stop=lambda: seen.append(1) or len(seen) == 4)
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
    alone = fit_head(x, y, 2, HeadSpec(epochs=5), 0)
    doubled = fit_head(*again, 2, HeadSpec(epochs=5), 0, n_real=len(y))
    norms = [float(head.network.weight.detach().norm()) for head in (alone, doubled)]
    assert norms[1] == pytest.approx(norms[0], rel=0.05)

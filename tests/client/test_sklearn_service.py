"""GeldaSampler against the embedded service."""

import numpy as np
import pytest
from imblearn.pipeline import make_pipeline
from sklearn.linear_model import LogisticRegression

from cultivar import CultivarError
from cultivar.sklearn import GeldaSampler
from cultivar.specs import EvaluateSpec

SMALL = {"denoiser": {"width": 32, "blocks": 1}}
MEANINGS = {"ash": [1.0, 0.2], "birch": [1.0, 0.3], "cedar": [0.1, 1.0]}


@pytest.fixture(scope="module")
def rows(arrays):
    """Rows and names of their classes, 60, 30 and 12."""
    return arrays["x"], arrays["classes"][arrays["y"]]


def sampler(**parameters):
    return GeldaSampler(**{"random_state": 7, "steps": 20, "spec": SMALL, **parameters})


def test_a_service_draws_the_rows_that_this_process_draws(local, rows):
    remote, here = sampler(client=local), sampler(device="cpu")
    x, y = remote.fit_resample(*rows)
    assert np.array_equal(x[:102], rows[0])
    assert [(y == name).sum() for name in MEANINGS] == [60, 60, 60]
    x_here, y_here = here.fit_resample(*rows)
    assert np.array_equal(y, y_here)
    # Equal up to rounding: the service may run with another number of threads.
    assert np.allclose(x, x_here, atol=1e-3)
    assert np.array_equal(remote.is_synthetic_, here.is_synthetic_)
    assert np.array_equal(remote.sample_parents_, here.sample_parents_)
    assert remote.job_.seed == 7
    assert remote.generator_.id == remote.job_.generator.id
    assert remote.report_ is None


def test_vectors_go_up_and_a_report_comes_down(local, rows, monkeypatch):
    # The address alone: the key is in the environment.
    monkeypatch.setenv("CULTIVAR_API_KEY", local._connection.api_key)
    evaluate = EvaluateSpec(seeds=1, controls=("smote",), temperatures=(1.0,), shares=(1.0,))
    one = sampler(url=local.base_url, class_vectors=MEANINGS, evaluate=evaluate)
    x, _ = one.fit_resample(*rows)
    assert len(x) == 180
    assert [row.label for row in one.report_.rows] == ["real rows only", "GeLDA", "SMOTE"]
    assert one.generator_.config["vectors"] == "upload"


def test_it_is_a_step_of_a_pipeline(local, rows):
    steps = make_pipeline(sampler(client=local, steps=2), LogisticRegression(max_iter=500))
    assert steps.fit(*rows).score(*rows) > 0.8


def test_what_the_service_refuses_is_its_own_error(local, rows):
    wanted = {"birch": 9_000_000, "cedar": 9_000_000}
    with pytest.raises(CultivarError, match="at most 10,000,000"):
        sampler(client=local, sampling_strategy=wanted).fit_resample(*rows)

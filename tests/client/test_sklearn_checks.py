"""GeldaSampler under the checks of imbalanced-learn and scikit-learn, as imbalanced-learn runs its own."""

import warnings

import pytest
from imblearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    parametrize_with_checks,
)
from sklearn.utils.estimator_checks import parametrize_with_checks as parametrize_as_estimator

from cultivar.sklearn import GeldaSampler

EXEMPT = {
    "check_samplers_pandas_sparse": (
        "sparse rows are refused: what is drawn is dense, so the result would be a sparse frame "
        "without zeros"
    ),
}
"""Checks that do not hold, each with its reason. The others of sparse rows ask the tags and are left out."""


def sampler() -> GeldaSampler:
    """Return one that is quick: the checks fit it dozens of times."""
    return GeldaSampler(
        random_state=0, steps=4, spec={"denoiser": {"width": 32, "blocks": 1}}, device="cpu"
    )


CHECKS = parametrize_with_checks([sampler()], expected_failed_checks=lambda _sampler: EXEMPT)


# imbalanced-learn hands a generator over, which pytest is about to refuse.
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_it_is_a_sampler_by_the_checks_of_imbalanced_learn(estimator, check):
    check(estimator)


@parametrize_as_estimator([sampler()], expected_failed_checks=lambda _sampler: EXEMPT)
def test_it_is_an_estimator_by_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_each_parameter_out_of_its_bounds_is_named():
    check_param_validation("GeldaSampler", sampler())


def test_names_of_columns_are_kept():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_dataframe_column_names_consistency("GeldaSampler", sampler())

"""How many to make, and the seed of each."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputProblem
from models.gelda.plan import counts, item_seed
from models.gelda.spec import PlanSpec

HAVE = {"a": 100, "b": 40, "c": 5, "d": 0}


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({"raise_to": 50}, [0, 10, 45, 50]),
        ({"match": "largest"}, [0, 60, 95, 100]),
        ({"match": "median"}, [0, 0, 17, 22]),
        ({"per_class": 7}, [7, 7, 7, 7]),
        ({"per_class": {"c": 3}}, [0, 0, 3, 0]),
        ({"multiply": 0.5}, [50, 20, 3, 0]),
        ({"per_class": 0}, [0, 0, 0, 0]),
    ],
)
def test_every_rule_counts_as_it_says(plan: dict[str, Any], expected: list[int]) -> None:
    assert counts(PlanSpec(**plan), HAVE) == dict(zip(HAVE, expected, strict=True))


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(InputProblem, match="'z'") as caught:
        counts(PlanSpec(per_class={"a": 1, "z": 2}), HAVE)
    assert caught.value.code == "unknown_class"


def test_a_plan_of_more_rows_than_a_job_makes_is_refused_with_both_numbers() -> None:
    classes = {str(label): 1 for label in range(3)}
    assert sum(counts(PlanSpec(per_class=3_333_333), classes).values()) == 9_999_999
    with pytest.raises(InputProblem, match=r"10,000,002 rows.*at most 10,000,000") as caught:
        counts(PlanSpec(per_class=3_333_334), classes)
    assert caught.value.code == "plan_too_large"


def test_nothing_to_raise_is_an_empty_plan() -> None:
    assert counts(PlanSpec(match="largest"), {}) == {}


numbers = st.integers(0, 2**63)


@given(numbers, numbers, numbers)
def test_item_seeds_fit_uint64_and_tell_their_parts_apart(seed: int, label: int, n: int) -> None:
    found = item_seed(seed, label, n)
    assert 0 <= found < 2**64
    assert found == item_seed(seed, label, n)
    assert len({found, item_seed(seed, label, n + 1), item_seed(seed, label + 1, n)}) == 3
    assert item_seed(1, 23, n) != item_seed(12, 3, n)

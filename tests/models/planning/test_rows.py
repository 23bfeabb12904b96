"""How many to make, and the seed of each."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputProblem
from models.planning.rows import cell_rows, counts
from models.planning.spec import PlanSpec
from models.seeds import item_seed

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


CELLS = {"a": {"s": 10, "t": 4}, "b": {"s": 3}, "c": {}}
FLAT = [10, 4, 3, 0, 0, 0]


def wanted(**plan: Any) -> list[int]:
    return cell_rows(PlanSpec(**plan), list(CELLS), ["s", "t"], FLAT).tolist()


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({"raise_to": 5}, [0, 1, 2, 5, 5, 5]),
        ({"match": "largest"}, [0, 6, 7, 10, 10, 10]),
        ({"match": "median"}, [0, 0, 0, 2, 2, 2]),
        ({"per_class": 7}, [7, 7, 7, 7, 7, 7]),
        ({"per_class": {"b": 3}}, [0, 0, 3, 3, 0, 0]),
        ({"multiply": 0.5}, [5, 2, 2, 0, 0, 0]),
        ({"cells": [{"label": "b", "subdomain": "t", "rows": 9}]}, [0, 0, 0, 9, 0, 0]),
        ({"cells": [{"subdomain": "t", "rows": 2}]}, [0, 2, 0, 2, 0, 2]),
        (
            {
                "cells": [
                    {"subdomain": "t", "rows": 2},
                    {"label": "c", "subdomain": "t", "rows": 5},
                    {"label": "c", "subdomain": "s", "rows": 1},
                ]
            },
            [0, 2, 0, 2, 1, 7],
        ),
    ],
)
def test_every_rule_counts_cells_as_it_counts_classes(
    plan: dict[str, Any], expected: list[int]
) -> None:
    assert wanted(**plan) == expected
    by_name = PlanSpec(**plan).cell_counts(list(CELLS), ["s", "t"], CELLS)
    assert [by_name[label][subdomain] for label in CELLS for subdomain in "st"] == expected


def test_without_subdomains_a_cell_is_a_class() -> None:
    rows = cell_rows(PlanSpec(raise_to=50), list(HAVE), [], list(HAVE.values()))
    assert rows.tolist() == [0, 10, 45, 50]


@pytest.mark.parametrize(
    ("plan", "subdomains", "code", "named"),
    [
        ({"cells": [{"label": "z", "subdomain": "s", "rows": 1}]}, "st", "unknown_class", "'z'"),
        ({"cells": [{"subdomain": "u", "rows": 1}]}, "st", "unknown_subdomain", "'u'"),
        ({"per_class": {"z": 1}}, "st", "unknown_class", "'z'"),
        ({"cells": [{"subdomain": "s", "rows": 1}]}, "", "cells_need_subdomains", "plan.cells"),
        ({"cells": [{"subdomain": "s", "rows": 4_000_000}]}, "st", "plan_too_large", "12,000,000"),
        ({"raise_to": 2_000_000}, "st", "plan_too_large", "11,999,983"),
    ],
)
def test_a_plan_that_cannot_be_filled_names_what_is_wrong(
    plan: dict[str, Any], subdomains: str, code: str, named: str
) -> None:
    with pytest.raises(InputProblem, match=named) as caught:
        cell_rows(
            PlanSpec(**plan), list(CELLS), list(subdomains), FLAT if subdomains else [14, 3, 0]
        )
    assert caught.value.code == code


def test_a_plan_of_cells_counts_no_classes() -> None:
    with pytest.raises(ValueError, match="needs subdomains"):
        PlanSpec(cells=[{"subdomain": "s", "rows": 1}]).counts(HAVE)


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

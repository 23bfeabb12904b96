"""What a dry run tells of a plan, and which specs are refused before anything is made."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.tasks import Effects, NewModel
from app.store.database import Store
from tests.app.api.conftest import MANIFEST, dataset, work
from tests.app.api.test_problems import assert_problem

SITES: dict[str, Any] = {
    "classes": ["cat", "dog", "emu"],
    "class_counts": {"cat": 20, "dog": 10, "emu": 0},
    "subdomains": ["sea", "land"],
    "cell_counts": {"cat": {"sea": 12, "land": 6}, "dog": {"land": 9}, "emu": {}},
}
ONE_HOT = {"classes": {"source": "one_hot"}}
CONDITIONED = ONE_HOT | {"subdomains": {"source": "one_hot"}}
UP = "up_" + "0" * 32


def ready(client: TestClient, store: Store, **changes: Any) -> str:
    """Make a dataset whose manifest says what is given."""
    made = dataset(client)
    stats = {
        "class_counts_by_split": {
            "train": {"cat": 20, "dog": 0, "emu": 0},
            "test": {"cat": 0, "dog": 10, "emu": 0},
        }
    }
    work(store, Effects(dataset={"manifest": MANIFEST | changes, "stats": stats}))
    return made["id"]


def validated(client: TestClient, **spec: Any) -> Any:
    return client.post("/v1/jobs/validate", json={"spec": {"kind": "gelda"} | spec})


def planned(client: TestClient, **spec: Any) -> dict[str, Any]:
    response = validated(client, **spec)
    assert response.status_code == 200, response.text
    plan: dict[str, Any] = response.json()["plan"]
    return plan


def refused(client: TestClient, code: str, param: str, **spec: Any) -> str:
    problem = assert_problem(validated(client, **spec), 422, code)
    assert problem["param"] == f"spec.{param}"
    posted = client.post("/v1/jobs", json={"spec": {"kind": "gelda"} | spec})
    assert assert_problem(posted, 422, code)["detail"] == problem["detail"]
    detail: str = problem["detail"]
    return detail


def test_a_job_with_subdomains_plans_every_cell_as_it_would_a_class(
    client: TestClient, store: Store
) -> None:
    dataset_id = ready(client, store, **SITES)
    plan = planned(client, dataset=dataset_id, plan={"raise_to": 10}, **CONDITIONED)
    assert plan["cells"] == {
        "cat": {"sea": 0, "land": 4},
        "dog": {"sea": 10, "land": 1},
        "emu": {"sea": 10, "land": 10},
    }
    assert plan["requested"] == {"cat": 4, "dog": 11, "emu": 20}


def test_without_subdomains_their_column_is_not_looked_at(client: TestClient, store: Store) -> None:
    plan = planned(client, dataset=ready(client, store, **SITES), plan={"raise_to": 10}, **ONE_HOT)
    assert plan["cells"] is None
    assert plan["requested"] == {"cat": 0, "dog": 0, "emu": 10}


def test_cells_are_asked_for_by_name(client: TestClient, store: Store) -> None:
    cells = [
        {"label": "emu", "subdomain": "sea", "rows": 7},
        {"subdomain": "land", "rows": 2},
        {"label": "cat", "subdomain": "land", "rows": 1},
    ]
    dataset_id = ready(client, store, **SITES)
    plan = planned(client, dataset=dataset_id, plan={"cells": cells}, **CONDITIONED)
    assert plan["cells"] == {
        "cat": {"sea": 0, "land": 3},
        "dog": {"sea": 0, "land": 2},
        "emu": {"sea": 7, "land": 2},
    }


@pytest.mark.parametrize(
    ("cell", "code", "word"),
    [
        ({"label": "cow", "subdomain": "sea"}, "unknown_class", "'cow'"),
        ({"subdomain": "air"}, "unknown_subdomain", "'air'"),
    ],
)
def test_a_cell_that_is_not_there_is_named(
    client: TestClient, store: Store, cell: dict[str, Any], code: str, word: str
) -> None:
    spec = {"dataset": ready(client, store, **SITES), "plan": {"cells": [cell | {"rows": 1}]}}
    assert word in refused(client, code, "plan.cells", **spec, **CONDITIONED)


def test_subdomains_need_a_column(client: TestClient, store: Store) -> None:
    spec = {"dataset": ready(client, store, subdomains=None, cell_counts=None)}
    refused(client, "no_subdomains", "subdomains", **spec, subdomains={"source": "learned"})


def test_a_plan_of_too_many_rows_or_cells_is_refused(client: TestClient, store: Store) -> None:
    dataset_id = ready(client, store, **SITES)
    cells = [{"subdomain": "sea", "rows": 5_000_000}]
    spec = {"dataset": dataset_id, "plan": {"cells": cells}}
    assert "15,000,000" in refused(client, "plan_too_large", "plan", **spec, **CONDITIONED)
    crowded = ready(client, store, **SITES | {"cell_counts": None})
    refused(client, "too_many_cells", "subdomains", dataset=crowded, **CONDITIONED)


@pytest.mark.parametrize(
    ("spec", "code", "param"),
    [
        (
            {"plan": {"cells": [{"subdomain": "sea", "rows": 1}]}},
            "cells_need_subdomains",
            "plan.cells",
        ),
        ({"layer": 1}, "layer_beyond_adapter", "layer"),
        ({"layer": [0, 3], "adapter": {"blocks": 2}}, "layer_beyond_adapter", "layer"),
        (
            {"classifier": {"initial": {"upload": UP}}},
            "initial_head_mismatch",
            "classifier.initial",
        ),
        (
            {
                "classifier": {"initial": {"upload": UP}},
                "adapter": {"blocks": 1},
                "preparation": [{"standardise": False}],
            },
            "initial_head_mismatch",
            "classifier.initial",
        ),
        (
            {
                "classifier": {"initial": {"upload": UP}, "head": "mlp"},
                "preparation": [{"standardise": False}],
            },
            "initial_head_mismatch",
            "classifier.initial",
        ),
    ],
)
def test_fields_that_do_not_go_together_are_refused_whatever_the_dataset(
    client: TestClient, spec: dict[str, Any], code: str, param: str
) -> None:
    refused(client, code, param, dataset="ds_" + "0" * 32, **spec)


def test_a_classifier_job_that_starts_at_a_head_takes_the_embeddings_as_they_are(
    client: TestClient,
) -> None:
    spec = {"kind": "classifier", "dataset": "ds_" + "0" * 32, "head": {"initial": {"upload": UP}}}
    told = client.post("/v1/jobs", json={"spec": spec}).json()
    assert (told["code"], told["param"]) == ("initial_head_mismatch", "spec.head.initial")
    # With the embeddings as they are, what is left to complain of is the dataset.
    as_they_are = spec | {"preparation": {"standardise": False}}
    assert client.post("/v1/jobs", json={"spec": as_they_are}).json()["param"] == "spec.dataset"


def test_a_learned_vector_needs_rows_that_may_be_trained_on(
    client: TestClient, store: Store
) -> None:
    dataset_id = ready(client, store)
    assert "'dog'" in refused(client, "class_without_rows", "classes", dataset=dataset_id)
    planned(client, dataset=dataset_id, **ONE_HOT)


@pytest.mark.parametrize(
    ("field", "texts", "code", "word"),
    [
        ("classes", {"cat": "a", "dog": "b"}, "description_missing", "'emu'"),
        ("classes", dict.fromkeys(["cat", "dog", "emu", "cow"], "a"), "unknown_class", "'cow'"),
        ("subdomains", {"sea": "a"}, "description_missing", "'land'"),
        ("subdomains", {"sea": "a", "land": "b", "air": "c"}, "unknown_subdomain", "'air'"),
    ],
)
def test_each_class_and_subdomain_needs_its_description(
    client: TestClient, store: Store, field: str, texts: dict[str, str], code: str, word: str
) -> None:
    spec = CONDITIONED | {field: {"source": "descriptions", "descriptions": texts}}
    dataset_id = ready(client, store, **SITES)
    assert word in refused(client, code, f"{field}.descriptions", dataset=dataset_id, **spec)


def test_more_samples_of_a_generator_are_planned_by_the_cells_it_was_trained_on(
    client: TestClient, store: Store
) -> None:
    job = client.post(
        "/v1/jobs", json={"spec": {"kind": "gelda", "dataset": ready(client, store), **ONE_HOT}}
    ).json()
    config = {
        "method": "gelda",
        "class_counts": {"cat": 5, "dog": 3},
        "subdomains": ["sea", "land"],
        "cell_counts": [4, 1, 0, 3],
    }
    work(store, Effects(), Effects(), Effects(), Effects(generator=NewModel({}, config)))
    sample = {"kind": "sample", "generator": job["id"], "plan": {"match": "largest"}}
    plan = planned(client, **sample)
    assert plan["cells"] == {"cat": {"sea": 0, "land": 3}, "dog": {"sea": 4, "land": 1}}
    sample["plan"] = {"cells": [{"subdomain": "air", "rows": 1}]}
    refused(client, "unknown_subdomain", "plan.cells", **sample)


def test_cells_of_a_generator_without_subdomains_are_refused(
    client: TestClient, store: Store
) -> None:
    job = client.post(
        "/v1/jobs", json={"spec": {"kind": "gelda", "dataset": ready(client, store), **ONE_HOT}}
    ).json()
    generator = NewModel({}, {"method": "gelda", "class_counts": {"cat": 5, "dog": 3}})
    work(store, Effects(), Effects(), Effects(), Effects(generator=generator))
    cells = [{"subdomain": "sea", "rows": 1}]
    sample = {"kind": "sample", "generator": job["id"], "plan": {"cells": cells}}
    refused(client, "cells_need_subdomains", "plan.cells", **sample)

"""GeLDA's whole path through the service: cells nobody has seen, layers, preparations, given heads."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cultivar import Job
from tests.service.conftest import Json, Service
from tests.service.test_bad_embeddings import npz

CLASSES, SITES, DIM = ("ant", "bee", "cat"), ("lake", "land", "sea"), 6
ANT_IN_SEA = (0, 2)
RNG = np.random.default_rng(5)
MEANS = 3 * (RNG.standard_normal((3, 1, DIM)) + RNG.standard_normal((1, 3, DIM)))
"""Of each class in each site: what the one adds, it adds everywhere."""

FAST: Json = {
    "denoiser": {"width": 32, "blocks": 1},
    "objective": {"steps": 40, "batch_size": 64},
    "sampler": {"steps": 4},
    "plan": {"per_class": 20},
}
QUICK: Json = {"seeds": 1, "temperatures": [1.0], "shares": [1.0], "penalties": [1.0]}


@dataclass(frozen=True)
class Rows:
    """Real rows: 24 to train, 6 to choose and 8 to report on of each class in each site."""

    x: np.ndarray
    y: np.ndarray
    site: np.ndarray
    split: np.ndarray

    @classmethod
    def drawn(cls) -> "Rows":
        cell, split = np.divmod(np.arange(9 * 38), 38)
        y, site = np.divmod(cell, 3)
        x = MEANS[y, site] + RNG.standard_normal((len(y), DIM))
        return cls(x.astype(np.float32), y, site, np.digitize(split, [24, 30]))

    def file(self, keep: np.ndarray, y: np.ndarray | None = None) -> dict[str, bytes]:
        return npz(
            x=self.x[keep],
            y=(self.y if y is None else y)[keep],
            site=np.array(SITES)[self.site][keep],
            split=np.array(["train", "val", "test"])[self.split][keep],
            classes=CLASSES,
        )


ROWS = Rows.drawn()
TEST = ROWS.split == 2
COLUMNS: Json = {"subdomain": "site", "split": "split"}


def dataset(service: Service, files: dict[str, bytes], **columns: Any) -> str:
    made: str = service.dataset(files, **COLUMNS, **columns)["id"]
    return made


@pytest.fixture(scope="module")
def zoo(service: Service) -> str:
    """A dataset without one ant in the sea, but for its test rows."""
    unseen = (ROWS.y == ANT_IN_SEA[0]) & (ROWS.site == ANT_IN_SEA[1])
    return dataset(service, ROWS.file(~unseen | TEST))


def ended(service: Service, data: str, controls: tuple[str, ...] = (), **spec: Any) -> Job:
    """Return a GeLDA job that has succeeded."""
    body = {"spec": {"kind": "gelda", "dataset": data, **FAST, **spec}, "seed": 7}
    job = service.ask("POST", "/v1/jobs", json=body | {"evaluate": QUICK | {"controls": controls}})
    return service.client.jobs.get(job["id"]).wait(timeout=150, progress=False)


def arrays(service: Service, job: Job, name: str) -> dict[str, np.ndarray]:
    (listed,) = [one for one in job.artifacts if one.name == name]
    content = service.http.get(f"/v1/artifacts/{listed.id}/content", follow_redirects=True).content
    if name.endswith(".parquet"):
        return {"rows": np.array(pq.read_table(io.BytesIO(content)).to_pylist())}
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return dict(found)


def nearest(x: np.ndarray) -> tuple[int, int]:
    """Return class and site whose true mean is nearest to the mean of these rows."""
    distances = np.linalg.norm(MEANS - x.mean(axis=0), axis=-1)
    label, site = divmod(int(distances.argmin()), 3)
    return label, site


def cell_plan(*cells: tuple[str | None, str, int]) -> Json:
    return {"cells": [{"label": c, "subdomain": s, "rows": n} for c, s, n in cells]}


@pytest.fixture(scope="module")
def unseen(service: Service, zoo: str) -> Job:
    plan = cell_plan(("ant", "sea", 30), (None, "lake", 5))
    one_hot = {"source": "one_hot"}
    controls = ("no_subdomain", "cell_gaussian")
    return ended(service, zoo, controls, classes=one_hot, subdomains=one_hot, plan=plan)


def test_a_cell_without_an_example_is_drawn_from_its_conditions_alone(
    service: Service, unseen: Job
) -> None:
    made = arrays(service, unseen, "synthetic.npz")
    assert made["subdomains"].tolist() == list(SITES)
    cells = made["y"] * 3 + made["subdomain"]
    assert np.bincount(cells, minlength=9).tolist() == [5, 0, 30, 5, 0, 0, 5, 0, 0]
    assert nearest(made["x"][cells == 2]) == ANT_IN_SEA
    lineage = arrays(service, unseen, "lineage.parquet")["rows"]
    named = [(line["label"], line["subdomain"]) for line in lineage]
    assert named == [(CLASSES[c // 3], SITES[c % 3]) for c in cells]


def test_its_recall_is_reported_beside_rivals_that_had_the_same_conditions(unseen: Job) -> None:
    report = unseen.report.data
    assert "unseen" in report["table"]["columns"]
    shown = {row["name"]: row["values"]["unseen"] for row in report["table"]["rows"]}
    assert set(shown) == {"real", "gelda", "no_subdomain", "cell_gaussian"}
    assert all(0 <= value <= 100 for value in shown.values())
    assert [one["columns"]["unseen"]["low"] is not None for one in report["comparisons"]] == [
        True
    ] * 3
    cells = {(one["class"], one["subdomain"]): one for one in report["per_cell"]}
    assert len(cells) == 9
    assert (cells["ant", "sea"]["train_rows"], cells["ant", "sea"]["test_rows"]) == (0, 8)
    assert cells["bee", "sea"]["train_rows"] == 24
    assert report["fidelity"]["left_out"] == []


def test_more_of_any_cell_is_drawn_from_the_generator_afterwards(
    service: Service, unseen: Job
) -> None:
    plan = cell_plan(("ant", "sea", 3), ("cat", "land", 2))
    spec = {"kind": "sample", "generator": unseen.generator.id, "plan": plan}
    job = service.ask("POST", "/v1/jobs", json={"spec": spec, "seed": 7})
    sample = service.client.jobs.get(job["id"]).wait(timeout=150, progress=False)
    more, before = (arrays(service, one, "synthetic.npz") for one in (sample, unseen))
    assert (more["y"] * 3 + more["subdomain"]).tolist() == [2, 2, 2, 7, 7]
    # Equal seeds, cells and counters are equal rows, whichever job draws them.
    first = before["x"][(before["y"] == 0) & (before["subdomain"] == 2)][:3]
    np.testing.assert_array_equal(more["x"][:3], first)


def test_a_subdomain_without_labels_gets_rows_of_every_class(service: Service) -> None:
    hidden = (ROWS.site == 2) & ~TEST
    keep = ~(hidden & (ROWS.split == 1))
    files = ROWS.file(keep, np.where(hidden, -1, ROWS.y))
    data = dataset(service, files, unlabelled=True)
    job = ended(
        service, data, classes={"source": "one_hot"}, subdomains={"source": "means"},
        plan=cell_plan((None, "sea", 20)),
    )  # fmt: skip
    made = arrays(service, job, "synthetic.npz")
    assert np.bincount(made["y"]).tolist() == [20, 20, 20]
    assert (made["subdomain"] == 2).all()
    assert [nearest(made["x"][made["y"] == label]) for label in range(3)] == [
        (0, 2),
        (1, 2),
        (2, 2),
    ]
    assert job.generator.config["unlabelled"] == 72
    counted = {(one["class"], one["subdomain"]): one for one in job.report.data["per_cell"]}
    assert [counted[name, "sea"]["train_rows"] for name in CLASSES] == [0, 0, 0]


def test_validation_takes_a_layer_and_its_classifier_is_loaded_in_a_line(
    service: Service, zoo: str
) -> None:
    adapter = {"blocks": 2, "width": 16, "epochs": 3}
    job = ended(service, zoo, adapter=adapter, layer=[0, 1, 2], classifier={"epochs": 2})
    steps = {step.code: step.max for step in job.steps}
    assert steps["train"] == 3
    choice = job.report.data["choice"]
    tried = {one["layer"] for one in choice["trials"] if one["arm"] == "gelda"}
    assert tried == {0, 1, 2}
    classifier = service.client.classifiers.get(job.classifier.id).load()
    said = classifier.predict(ROWS.x[TEST])
    predictions = arrays(service, job, "predictions.npz")
    head = predictions[job.report.data["classifier"]["trained_on"]][0]
    assert said.tolist() == predictions["classes"][head].tolist()
    assert (said == np.array(CLASSES)[ROWS.y[TEST]]).mean() > 0.8


def test_latents_above_the_embeddings_are_not_mixed_with_embeddings(
    service: Service, zoo: str
) -> None:
    job = ended(service, zoo, adapter={"blocks": 1, "width": 16, "epochs": 1}, layer=1)
    assert job.result["layer"] == 1
    spec = {"kind": "classifier", "dataset": zoo, "mix": [job.id]}
    refused = service.ended(service.job(**spec)["id"])
    assert (refused["error"]["code"], refused["error"]["param"]) == ("not_embeddings", "mix")
    assert "layer 1" in refused["error"]["detail"]


def test_validation_takes_the_preparation_that_loses_less(service: Service, zoo: str) -> None:
    poor, good = {"components": 1, "normalise": True}, {"transform": "sqrt", "components": 5}
    job = ended(service, zoo, preparation=[poor, good])
    told = job.report.data["facts"]["preparation"]
    assert (told["chosen"]["transform"], told["chosen"]["components"]) == ("sqrt", 5)
    assert told["val_scores"][0] < told["val_scores"][1]
    assert arrays(service, job, "synthetic.npz")["x"].shape == (60, DIM)


def upload(service: Service, **content: Any) -> str:
    ((name, data),) = npz(**content).items()
    return service.upload(name, data)


def test_a_head_that_came_with_the_embeddings_is_where_heads_start(
    service: Service, zoo: str
) -> None:
    weight, bias = 10 * RNG.standard_normal((3, DIM)), RNG.standard_normal(3)
    given = {"upload": upload(service, head_weight=weight, head_bias=bias), "bias": "head_bias"}
    job = ended(
        service, zoo, preparation=[{"standardise": False}],
        classifier={"initial": given, "weight_decay": 1.0},
    )  # fmt: skip
    # So strong a penalty leaves it about where it was, however poor it is.
    theirs = np.array(CLASSES)[(ROWS.x @ weight.T + bias).argmax(axis=1)]
    assert (job.classifier.load().predict(ROWS.x) == theirs).mean() > 0.8


def test_class_vectors_may_be_of_several_arrays(service: Service, zoo: str) -> None:
    vectors = {"u": np.eye(3), "v": RNG.standard_normal((3, 4)), "classes": CLASSES}
    source = {"source": "upload", "upload": upload(service, **vectors), "array": ["u", "v"]}
    controls = ("one_hot", "shuffled_vectors")
    job = ended(service, zoo, controls, classes=source)
    names = [row["name"] for row in job.report.data["table"]["rows"]]
    assert names == ["real", "gelda", *controls]
    assert {step.code: step.max for step in job.steps}["rivals"] == len(controls)
    absent = source | {"array": ["u", "w"]}
    spec = {"kind": "gelda", "dataset": zoo, **FAST, "classes": absent}
    error = service.ended(service.job(**spec)["id"])["error"]
    assert (error["code"], "'w'" in error["detail"]) == ("column_missing", True)

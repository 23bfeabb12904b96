"""Stages that make embeddings of raw data: a model at hand, shards, one array."""

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from app.settings import Settings
from app.store.blob_files import Blob
from models.embeddings.dataset import EmbeddingDataset
from models.encoders.catalogue import find
from models.encoders.encode import Encoder
from models.encoders.folder import FOLDERS_VARIABLE
from models.encoders.spec import EncoderSpec
from models.errors import InputProblem, Interrupted
from models.raw.canonical import read_raw
from models.raw.dataset import RawDataset
from models.raw.image import decode_image
from models.raw.limits import RawLimits
from models.raw.spec import RawColumns
from tests.models.encoders import tiny
from tests.models.encoders.hub import MODEL, hub_of
from workers.pipelines import embedding
from workers.shelf import Shelf
from workers.task import TaskRun

IMAGES = 22


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("vit", "dinov2"):
        tiny.make(name, folder / name)
    return folder


@pytest.fixture(autouse=True)
def machine(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with these models, nothing pulled and no hub."""
    monkeypatch.setenv(FOLDERS_VARIABLE, str(models))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(embedding, "SHARD_ITEMS", {"image": 9})


@pytest.fixture
def manifest(tmp_path: Path) -> dict[str, Any]:
    """A dataset of small pictures, its files under their own names."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "owls.zip", "w") as archive:
        for number in range(IMAGES):
            file = io.BytesIO()
            pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file, "PNG")
            archive.writestr(f"{'ab'[number % 2]}/{number:02}.png", file.getvalue())
    (tmp_path / "raw").mkdir()
    found = read_raw(
        [tmp_path / "owls.zip"], ["owls.zip"], modality="image", format="zip",
        columns=RawColumns(), limits=RawLimits(), out=tmp_path / "raw",
    )  # fmt: skip
    for name, column in found["columns"].items():
        column |= {"sha256": f"raw/{column['file']}", "bytes": 0, "name": name}
    return found


class Tasks:
    """Runs the stages of one job, each with what came before it."""

    def __init__(self, tmp_path: Path, manifest: dict[str, Any], model: str) -> None:
        self.folder, self.manifest = tmp_path, manifest
        self.spec = {"encoder": EncoderSpec(model=model, batch_rows=4).model_dump(mode="json")}
        self.earlier: dict[str, list[dict[str, Any]]] = {}
        self.stopped, self.told = False, list[tuple[float, float]]()
        self.kept = 0

    def run(self, stage: str, payload: dict[str, Any] | None = None, kind: str = "embed") -> Any:
        scratch = self.folder / f"scratch-{stage}-{self.kept}"
        scratch.mkdir(exist_ok=True)
        claim = SimpleNamespace(
            inputs={"dataset": self.manifest}, spec=self.spec, payload=payload or {},
            earlier=self.earlier, kind=kind,
        )  # fmt: skip
        task = SimpleNamespace(
            claim=claim,
            scratch=scratch,
            settings=Settings(home=self.folder),
            shelf=Shelf(),
            device="cpu",
            batch=lambda rows: rows,
            fetch=lambda name: self.folder / name,
            keep=self._keep,
            progress=lambda value, most: self.told.append((value, most)),
            should_stop=lambda: self.stopped,
            stop_here=lambda: None,
        )
        effects = getattr(embedding, stage)(cast("TaskRun", task))
        self.earlier.setdefault(stage, []).append(effects.result)
        return effects

    def _keep(self, path: Path) -> Blob:
        self.kept += 1
        kept = path.rename(self.folder / f"kept-{self.kept}.npy")
        return Blob(kept.name, kept.stat().st_size)


def test_shards_make_the_bytes_of_one_run(tmp_path: Path, manifest: dict[str, Any]) -> None:
    tasks = Tasks(tmp_path, manifest, "vit")
    plan = tasks.run("fetch").plan
    cuts = [(task.payload["start"], task.payload["stop"]) for task in plan]
    assert cuts == [(0, 8), (8, 16), (16, 22)], "whole batches of four"
    for task in plan:
        effects = tasks.run("encode", task.payload)
        assert effects.counts == {"embedded": task.payload["stop"] - task.payload["start"]}
    made = tasks.run("gather").dataset["manifest"]

    files = {name: tmp_path / column["sha256"] for name, column in made["columns"].items()}
    data = EmbeddingDataset.open(made, files)
    raw = RawDataset.open(
        manifest, {n: tmp_path / c["sha256"] for n, c in manifest["columns"].items()}
    )
    encoder = Encoder.load(find("vit"), EncoderSpec(model="vit", batch_rows=4))
    assert np.array_equal(data.x, encoder.encode(raw, range(IMAGES), decode=decode_image))
    assert np.array_equal(data.y, raw.y)
    assert made["encoder"] == encoder.fingerprint
    assert set(made["columns"]) == {"x", "y", "split", "id"}


def test_in_a_gelda_job_the_embeddings_stay_within_it(
    tmp_path: Path, manifest: dict[str, Any]
) -> None:
    tasks = Tasks(tmp_path, manifest, "vit")
    for task in tasks.run("fetch", kind="gelda").plan:
        tasks.run("encode", task.payload, kind="gelda")
    effects = tasks.run("gather", kind="gelda")
    assert effects.dataset is None
    assert effects.result["manifest"]["dim"] == 16


def test_files_that_change_between_two_shards_are_seen(
    tmp_path: Path, manifest: dict[str, Any]
) -> None:
    tasks = Tasks(tmp_path, manifest, "vit")
    plan = tasks.run("fetch").plan
    tasks.run("encode", plan[0].payload)
    tasks.spec = {"encoder": tasks.spec["encoder"] | {"model": "dinov2"}}
    for task in plan[1:]:
        tasks.run("encode", task.payload)
    with pytest.raises(InputProblem) as caught:
        tasks.run("gather")
    assert caught.value.code == "encoder_mismatch"


def test_an_item_that_no_longer_decodes_is_a_problem_with_its_rows(
    tmp_path: Path, manifest: dict[str, Any]
) -> None:
    tasks = Tasks(tmp_path, manifest, "vit")
    second = tasks.run("fetch").plan[1]
    raw = tmp_path / manifest["columns"]["items"]["sha256"]
    offsets = np.load(tmp_path / manifest["columns"]["offsets"]["sha256"])
    whole = bytearray(raw.read_bytes())
    whole[offsets[9] + 30 : offsets[10]] = bytes(offsets[10] - offsets[9] - 30)
    raw.write_bytes(whole)
    with pytest.raises(InputProblem, match="rows 8 to 15") as caught:
        tasks.run("encode", second.payload)
    assert caught.value.code == "image_truncated"


def test_a_shard_stops_when_it_is_told(tmp_path: Path, manifest: dict[str, Any]) -> None:
    tasks = Tasks(tmp_path, manifest, "vit")
    (first, *_) = tasks.run("fetch").plan
    tasks.stopped = True
    with pytest.raises(Interrupted):
        tasks.run("encode", first.payload)


def test_a_model_of_the_list_is_pulled_by_the_job_that_names_it(
    models: Path, tmp_path: Path, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = Tasks(tmp_path, manifest, MODEL)
    with pytest.raises(InputProblem) as caught:
        tasks.run("fetch")
    assert caught.value.code == "model_not_at_hand"
    with hub_of(models / "dinov2", tmp_path / "on the hub") as hub:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        # What HF_ENDPOINT sets where it is there before the program starts.
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        tasks.run("fetch")
        size = (models / "dinov2" / "model.safetensors").stat().st_size
        done, most = tasks.told[-1]
        assert done == most > size
        served = len(hub.served)
        tasks.run("fetch")
        assert len(hub.served) == served, "at hand already"

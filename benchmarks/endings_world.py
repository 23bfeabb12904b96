"""Tiny models, datasets and specs, so that a job of every kind goes through every stage in seconds."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.domain.jobs import PIPELINES
from tests.models.encoders import tiny
from tests.workers import alia_zoo
from tests.workers.pictures import archive

SIZES = {"ant": 24, "bee": 16, "cat": 10}
ROWS_OF_A_CLASS, DIM = (60, 30, 12), 8
OF_A_HEAD: dict[str, Any] = {
    "seeds": 1, "temperatures": [1.0], "shares": [1.0], "penalties": [1.0], "controls": ["one_hot"],
}  # fmt: skip
OF_IMAGES: dict[str, Any] = {"seeds": 1, "penalties": [1.0], "budget": 2, "controls": []}
GELDA: dict[str, Any] = {
    "kind": "gelda",
    "encoder": {"model": "vit"},
    "denoiser": {"width": 32, "blocks": 1},
    "objective": {"steps": 200, "batch_size": 16, "checkpoint_steps": 50},
    "sampler": {"steps": 4},
    "plan": {"match": "largest"},
    "classifier": {"epochs": 1},
}
GLICO: dict[str, Any] = {
    "kind": "glico",
    "decoder": {"code_dim": 16, "width": 8},
    "reconstruction": {"steps": 40, "batch_size": 8, "checkpoint_steps": 10},
    "plan": {"per_class": 5},
    "classifier": alia_zoo.TINY["classifier"],
}
ALIA: dict[str, Any] = alia_zoo.TINY | {
    "filters": {
        "semantic": {"switch": "on", "model": "clip", "negatives": ["a black image"]},
        "confidence": {"switch": "auto", "folds": 2, "steps": 3},
    },
    "plan": {"per_class": 7},
    "attempts": 3,
    "augmentations": ["none", "color"],
}
DESCRIBED = ALIA | {"descriptions": None, "captions": {"model": "blip", "max_tokens": 8}}
"""One whose captions are made, and grouped: random words, of which no description may come."""


def models(folder: Path) -> Path:
    """Write random models of every sort that the specs name; return their folder."""
    alia_zoo.models(folder)
    tiny.make("vit", folder / "vit")
    return folder


@dataclass
class World:
    """A service's resources, made once; `submit` makes jobs of them.

    Attributes:
        http: speaks to the API.
        uploads: ids, by what the file holds.
        datasets: ids, likewise.
        generator: id of a generator that there is.
    """

    http: httpx.Client
    uploads: dict[str, str]
    datasets: dict[str, str]
    generator: str | None = None

    def ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        answer = self.http.request(method, path, **more)
        if not answer.is_success:
            raise SystemExit(f"{method} {path} was answered {answer.status_code}: {answer.text}")
        found: dict[str, Any] = answer.json()
        return found

    def upload(self, name: str, content: bytes) -> str:
        begun = self.ask("POST", "/v1/uploads", json={"filename": name, "bytes": len(content)})
        upload: str = begun["id"]
        self.ask("PUT", f"/v1/uploads/{upload}/parts/1", content=content)
        self.ask("POST", f"/v1/uploads/{upload}/complete")
        return upload

    def dataset(self, upload: str, modality: str, **columns: Any) -> dict[str, Any]:
        format_ = {"embedding": "npz", "image": "zip"}[modality]
        body = {"upload_ids": [upload], "format": format_, "modality": modality, "columns": columns}
        return self.ask("POST", "/v1/datasets", json=body)

    def submit(self, kind: str, stage: str) -> str:
        """Ask for a job that goes through the stage; return its id."""
        if kind == "ingest":
            found: str = self.dataset(self.uploads["latents"], "embedding")["job_id"]
            return found
        spec, evaluate = self._asked(kind, stage)
        body = {"spec": spec, "seed": 7, "evaluate": evaluate}
        job: str = self.ask("POST", "/v1/jobs", json=body)["id"]
        return job

    def _asked(self, kind: str, stage: str) -> tuple[dict[str, Any], Mapping[str, Any]]:
        pictures = {"dataset": self.datasets["pictures"]}
        if kind == "embed":
            return {"kind": "embed", "encoder": {"model": "vit"}} | pictures, {}
        if kind == "gelda":
            classes = {"source": "upload", "upload": self.uploads["vectors"]}
            return GELDA | pictures | {"classes": classes}, OF_A_HEAD
        if kind == "glico":
            return GLICO | pictures, OF_IMAGES
        if kind == "alia":
            spec = DESCRIBED if stage in DESCRIBED_STAGES else ALIA
            return spec | {"dataset": self.datasets["zoo"]}, OF_IMAGES
        if kind == "sample":
            return {"kind": kind, "generator": self.generator, "plan": {"per_class": 3}}, {}
        assert kind == "classifier", kind
        spec = {"kind": kind, "dataset": self.datasets["latents"], "head": {"epochs": 1}}
        return spec, {"seeds": 1}


DESCRIBED_STAGES = frozenset({"caption", "summarise"})


def stages(kinds: list[str]) -> list[tuple[str, str]]:
    """Return every stage of every kind, in order."""
    return [(kind, stage.code) for kind in kinds for stage in PIPELINES[kind]]


def latents() -> bytes:
    """Return an npz of well separated classes."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(len(ROWS_OF_A_CLASS)), ROWS_OF_A_CLASS)
    centres = 2.0 * rng.standard_normal((len(ROWS_OF_A_CLASS), DIM))
    x = (rng.standard_normal((len(y), DIM)) + centres[y]).astype(np.float32)
    return _npz(x=x, y=y, classes=np.array(list(SIZES)))


def vectors() -> bytes:
    """Return an npz with a vector for each class of the pictures."""
    found = np.random.default_rng(0).standard_normal((len(SIZES), 6)).astype(np.float32)
    return _npz(vectors=found, classes=np.array(list(SIZES)))


def _npz(**arrays: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy names another keyword there
    return file.getvalue()


def make_world(http: httpx.Client) -> tuple[World, list[str]]:
    """Upload everything; return the world, and the ids of the jobs that make its datasets."""
    world = World(http, {}, {})
    files = {"latents": latents(), "vectors": vectors()}
    for name, content in files.items():
        world.uploads[name] = world.upload(f"{name}.npz", content)
    for name, content in {"pictures": archive(SIZES), "zoo": alia_zoo.zoo()}.items():
        world.uploads[name] = world.upload(f"{name}.zip", content)
    made = {
        "latents": world.dataset(world.uploads["latents"], "embedding"),
        "pictures": world.dataset(world.uploads["pictures"], "image"),
        "zoo": world.dataset(world.uploads["zoo"], "image", **alia_zoo.COLUMNS),
    }
    world.datasets = {name: dataset["id"] for name, dataset in made.items()}
    return world, [dataset["job_id"] for dataset in made.values()]

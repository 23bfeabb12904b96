"""The jobs of `benchmarks.alia`: a service with a world's models, its datasets, and results that are kept."""

import json
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.face import Face
from benchmarks.image_world import packed
from cultivar import Client, Job
from cultivar.specs import (
    Alia,
    CaptionSpec,
    ConfidenceSpec,
    EditSpec,
    EvaluateSpec,
    FilterSpec,
    ImageClassifierSpec,
    SemanticSpec,
    SummariseSpec,
)

Labels = npt.NDArray[np.int64]

EDITORS = {
    # For each what its weights were trained for; the world's README has the strengths.
    "instruct_pix2pix": EditSpec(
        editor="instruct_pix2pix", model="instruct", guidance=4, steps=20, batch_size=50
    ),
    "img2img": EditSpec(
        editor="img2img", model="sd", strength=0.7, guidance=4, steps=25, batch_size=50
    ),
}
PARTS = {
    "world": {name: name for name in ("train", "val", "test")},
    "extra": {"extra": "train"},
}
"""Datasets that are uploaded: the world's splits in each, and what they are there."""


@dataclass(frozen=True)
class Ran:
    """What came of a job.

    Attributes:
        said: predictions on `test` by arm, `n`.
        y: right classes, `n`.
        domain: of each test image, `n`.
        domains: their names.
        score: what the chosen setting of ALIA's arm is worth on `val`.
        settings: what validation chose, by arm.
        told: edits, filters and sizes, as the report has them.
    """

    said: Mapping[str, Labels]
    y: Labels
    domain: Labels
    domains: Sequence[str]
    score: float
    settings: Mapping[str, Any]
    told: Mapping[str, Any]


class Bench:
    """A service with the world's models, its two datasets, and results that are kept."""

    def __init__(self, arguments: Namespace, face: Face) -> None:
        self.arguments, self.face = arguments, face
        self.runs: Path = arguments.runs
        self.quick: bool = arguments.quick
        self._client: Client | None = None
        self._ids: dict[str, str] = {}

    def spec(self, seed: int, **more: Any) -> Alia:
        """Return a job of the world's own models."""
        steps, width = (20, 8) if self.quick else (self.arguments.steps, 24)
        usual: dict[str, Any] = {
            "subject": "digit",
            "captions": CaptionSpec(model="captioner", max_tokens=16, batch_size=50),
            # The language model knows prompts of twenty captions, and one turn.
            "summarise": SummariseSpec(model="llm", captions=20, draws=4, turns=1, max_tokens=160),
            "edit": EDITORS["instruct_pix2pix"],
            "filters": FilterSpec(
                semantic=SemanticSpec(model="clip"), confidence=ConfidenceSpec(steps=steps)
            ),
            "augmentations": ("none", "color"),
            "multiply": 2,
            "attempts": 2,
            # A mirrored digit is another sign, or none.
            "classifier": ImageClassifierSpec(steps=steps, width=width, batch_size=64, flip=False),
            "seed": seed,
        }
        return Alia(dataset=self._dataset("world"), **(usual | more))

    def queue(self, wanted: Sequence[tuple[str, int, Sequence[str], Mapping[str, Any]]]) -> None:
        """Run all jobs that are not kept, side by side as far as there are workers."""
        missing = [one for one in wanted if not (self._at(one) / "report.json").exists()]
        jobs = [(self._at(one), self._submit(one[1], one[2], one[3])) for one in missing]
        for path, job in jobs:
            self.face.begin(path.name)
            self._finish(job, path)

    def kept(self, name: str, seed: int) -> Ran:
        """Return what came of a job."""
        return _read(self.runs / f"{name}-{seed}")

    def _at(self, wanted: tuple[str, int, Sequence[str], Mapping[str, Any]]) -> Path:
        return self.runs / f"{wanted[0]}-{wanted[1]}"

    def _submit(self, seed: int, controls: Sequence[str], more: Mapping[str, Any]) -> Job:
        told = dict(more)
        if "text_to_image" in controls:
            told |= {"text_to_image": "sd"}
        if "extra_real" in controls:
            told |= {"extra": self._dataset("extra")}
        evaluate = EvaluateSpec(
            seeds=1, penalties=[1.0], metric="accuracy", controls=list(controls)
        )
        return self._service().jobs.create(self.spec(seed, **told), evaluate=evaluate)

    def _finish(self, job: Job, path: Path) -> None:
        job.wait()
        self.face.end()
        path.mkdir(parents=True, exist_ok=True)
        job.download(path)

    def _dataset(self, name: str) -> str:
        if name not in self._ids:
            most = 60 if self.quick else None
            file = self.runs / f"{name}.zip"
            columns = {"label": "label", "split": "split", "subdomain": "domain"}
            dataset = self._service().datasets.upload(
                packed(self.arguments.world, file, PARTS[name], most),
                modality="image",
                name=name,
                columns=columns,
            )
            self._ids[name] = dataset.id
        return self._ids[name]

    def _service(self) -> Client:
        if self._client is None:
            os.environ["CULTIVAR_MODELS"] = str(self.arguments.world.resolve())
            os.environ["CULTIVAR_WORKERS"] = str(self.arguments.workers)
            self._client = Client.local(self.runs / "service")
        return self._client

    def close(self) -> None:
        """Stop the service."""
        if self._client is not None:
            self._client.close()


def _read(path: Path) -> Ran:
    report = json.loads((path / "report.json").read_text("utf-8"))
    with np.load(path / "predictions.npz", allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    notes = ("y", "classes", "subdomain", "subdomains", "rows")
    trials = [one for one in report["choice"]["trials"] if one["arm"] == "alia"]
    settings = report["choice"]["settings"]
    own = [one["score"] for one in trials if one["setting"] == settings["alia"]]
    return Ran(
        said={name: array[0] for name, array in found.items() if name not in notes},
        y=found["y"],
        domain=found["subdomain"],
        domains=[str(name) for name in found["subdomains"]],
        score=own[0] if own else float("nan"),
        settings=settings,
        told={name: report["facts"][name] for name in ("descriptions", "filters", "compute")},
    )


def switched(semantic: str, confidence: str) -> FilterSpec:
    """Return the filters with these switches."""
    return FilterSpec(
        semantic=SemanticSpec(model="clip", switch=semantic),
        confidence=ConfidenceSpec(switch=confidence),
    )

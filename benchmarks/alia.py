"""ALIA on a small biased world: caption, summarise, edit, filter and train, as jobs of a service of its own.

    python -m benchmarks.alia --world FOLDER --runs FOLDER [--seeds 3] [--questions] [--workers 2]

A world is a folder with small trained models (`captioner`, `llm`, `clip`, `sd`, `instruct`) and `world/` with
`train.zip` (biased: each class lives in a domain or two), `val.zip`, `test.zip` and `extra.zip` (unbiased).
All goes through the SDK: the images are uploaded as one zip, and each seed is a job for each editor, which
captions, asks the language model for domains, edits each training image twice, filters and trains. Editor,
filters and classical augmentation are chosen on `val` in the jobs of the first seed, for every arm its own. On
`test` the classifier stands beside real images only, RandAugment, changed colours and CutMix, beside as many
text-to-image images of the same prompts, and beside 300 unbiased real images.

``--questions`` adds a job a seed for each of: one fixed prompt of a user in place of ALIA's; each filter on
and off; fewer edits, 300 of them beside the 300 real images.

Every job's result is kept in ``--runs`` and read again: an interrupted benchmark goes on where it was.
Cost on two free cores with AMX: about 25 minutes for the first seed, half of that for each further one; the questions,
3 minutes for each of seven variants and each seed.
"""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.comparison import Comparison
from benchmarks.face import Face
from benchmarks.image_world import check, packed
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

CONTROLS = ("randaugment", "color", "cutmix", "text_to_image", "extra_real")
WORDS = {
    "alia": "ALIA",
    "real": "real only",
    "randaugment": "real, RandAugment",
    "color": "real, changed colours",
    "cutmix": "real, CutMix",
    "text_to_image": "text to image, same prompts",
    "extra_real": "300 unbiased real images",
}


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


def main() -> int:
    face = Face(__doc__, seeds=3)
    add = face.parser.add_argument
    add("--world", type=Path, required=True, metavar="FOLDER", help="models and images")
    add("--runs", type=Path, required=True, metavar="FOLDER", help="where results are kept")
    add("--questions", action="store_true", help="also what each part is worth")
    add("--workers", type=int, default=2, metavar="N", help="worker processes (2)")
    add("--steps", type=int, default=800, help="of every classifier (800)")
    arguments = face.parse()
    check(arguments.world)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments, face)
    try:
        told = run(bench)
    finally:
        bench.close()
    face.finish(told)
    return 0


def run(bench: Bench) -> dict[str, Any]:
    """Run the jobs of all seeds, print the tables, return the figures."""
    seeds = range(bench.arguments.seeds)
    for some in (seeds[:1], seeds[1:]):
        # What validation says to the first job stands for the others: they search no more.
        chosen = {} if some == seeds[:1] else {e: narrowed(bench.kept(e, 0)) for e in EDITORS}
        bench.queue(
            [
                (
                    editor,
                    seed,
                    CONTROLS if editor == "instruct_pix2pix" else (),
                    {"edit": edit} | chosen.get(editor, {}),
                )
                for seed in some
                for editor, edit in EDITORS.items()
            ]
        )
    runs = {editor: [bench.kept(editor, seed) for seed in seeds] for editor in EDITORS}
    scores = {editor: each[0].score for editor, each in runs.items()}
    best = max(scores, key=lambda editor: scores[editor])
    first = runs["instruct_pix2pix"]
    said = {"alia": _stack(runs[best], "alia")}
    said |= {name: _stack(first, name) for name in ("real", *CONTROLS)}
    words = WORDS | {"alia": f"ALIA, {best}"}
    for editor in EDITORS:
        if editor != best:
            said[editor] = _stack(runs[editor], "alia")
            words[editor] = f"ALIA, {editor}"
    figures = _shown(bench, "test", first[0].y, said, words)
    domains = by_domain(bench, first[0], said, words)
    told: dict[str, Any] = {
        "editor": best,
        "scores": scores,
        "rows": figures,
        "domains": domains,
        "settings": {editor: [dict(one.settings) for one in each] for editor, each in runs.items()},
        "edits": {editor: [_edits(one) for one in each] for editor, each in runs.items()},
        "seeds": bench.arguments.seeds,
    }
    if bench.arguments.questions:
        told["questions"] = ask(bench, best, runs[best], first)
    return told


def narrowed(one: Ran) -> dict[str, Any]:
    """Return the part of a spec that leaves nothing open which validation has decided.

    Where arms chose differently, both stay open.
    """
    settings = one.settings
    filters = str(settings["alia"].get("filters", "none")).split("+")
    of_text = str(settings.get("text_to_image", settings["alia"]).get("filters", "none")).split("+")
    semantic = {"semantic" in filters, "semantic" in of_text}
    switch = "auto" if len(semantic) > 1 else ("on" if True in semantic else "off")
    return {
        "augmentations": tuple(
            dict.fromkeys(
                each["augmentation"] for each in settings.values() if "augmentation" in each
            )
        ),
        "filters": switched(switch, "on" if "confidence" in filters else "off"),
    }


def _stack(runs: Sequence[Ran], arm: str) -> Labels:
    return np.stack([one.said[arm] for one in runs])


def _edits(one: Ran) -> dict[str, Any]:
    """Return how many edits were made and used, and what each filter dropped."""
    dropped = {part["name"]: part["dropped"] for part in one.told["filters"]}
    return dict(one.told["compute"]["edits"]) | {"dropped": dropped}


def _shown(
    bench: Bench, title: str, y: Labels, said: Mapping[str, Labels], words: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    comparison = Comparison(y, said, {}, method="alia", words=words)
    return comparison.show(bench.face, f"{title}, {bench.arguments.seeds} seeds", f"alia-{title}")


def by_domain(
    bench: Bench, one: Ran, said: Mapping[str, Labels], words: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """Return, and print, the accuracy of each arm by domain."""
    right = {name: (each == one.y).mean(axis=0) for name, each in said.items()}
    told = {
        name: {
            domain: round(100 * float(each[one.domain == number].mean()), 2)
            for number, domain in enumerate(one.domains)
        }
        for name, each in right.items()
    }
    bench.face.say("accuracy by domain")
    bench.face.table(
        ("arm", *one.domains),
        [(words[name], *values.values()) for name, values in told.items()],
    )
    return told


def ask(bench: Bench, editor: str, own: Sequence[Ran], first: Sequence[Ran]) -> dict[str, Any]:
    """Measure what each part is worth: everything else as validation chose it."""
    seeds = range(bench.arguments.seeds)
    chosen = narrowed(own[0]) | {"edit": EDITORS[editor]}
    variants: dict[str, tuple[str, dict[str, Any]]] = {
        "fixed_prompt": ("one fixed prompt of a user", {"descriptions": ("a photo of a {}",)}),
        "no_filter": ("no filter", {"filters": switched("off", "off")}),
        "semantic": ("semantic filter alone", {"filters": switched("on", "off")}),
        "confidence": ("confidence filter alone", {"filters": switched("off", "on")}),
        "both": ("both filters", {"filters": switched("on", "on")}),
        "edits_300": ("300 edits", {"per_class": 30}),
        "edits_1000": ("1,000 edits", {"per_class": 100}),
    }
    plan = []
    for name, (_, change) in variants.items():
        more = chosen | change
        if "per_class" in more:
            more["multiply"] = None
        if name == "fixed_prompt":
            more["avoid_own"] = False
        plan += [(name, seed, (), more) for seed in seeds]
    bench.queue(plan)
    said = {"alia": _stack(own, "alia"), "extra_real": _stack(first, "extra_real")}
    words = {"alia": "as validation chose", "extra_real": WORDS["extra_real"]}
    edits: dict[str, Any] = {}
    for name, (label, _) in variants.items():
        runs = [bench.kept(name, seed) for seed in seeds]
        said[name], words[name] = _stack(runs, "alia"), label
        edits[name] = [_edits(one) for one in runs]
    return {"rows": _shown(bench, "questions", own[0].y, said, words), "edits": edits}


def switched(semantic: str, confidence: str) -> FilterSpec:
    """Return the filters with these switches."""
    return FilterSpec(
        semantic=SemanticSpec(model="clip", switch=semantic),
        confidence=ConfidenceSpec(switch=confidence),
    )


if __name__ == "__main__":
    sys.exit(main())

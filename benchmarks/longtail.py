"""GeLDA on a long tail, through the service, beside every control.

    python -m benchmarks.longtail --data cifar100_lt100_resnet32.npz --vectors vectors.npz:unit_sphere

Data: npz with ``x, y, x_test, y_test, classes`` and optionally ``head_weight, head_bias``, the
head of the network that made the latents. One half of the test rows of each class (drawn by
``--half-seed``) goes in as split `val` and chooses temperature; the other half as `test` reports.
A seed is a whole job: its generator, its choice and its heads. Head: linear, from scratch,
cross-entropy on the balanced mix (every class raised to the largest). Intervals are those of
``models.evaluation.interval``, over seeds and test rows.

Cost on 2 cores, CIFAR-100-LT, 3 seeds: see the figures in the README. `--quick`: 300
training steps, fewer temperatures and controls; for trying it out, with `--seeds 1`.
"""

import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.face import Face
from cultivar import Client, Job
from cultivar.specs import EvaluateSpec, Gelda
from models.evaluation.interval import Resampled
from models.evaluation.metrics import accuracy, balanced_accuracy, shot_groups
from models.evaluation.result import LABELS, METHOD

TEMPERATURES = (1.0, 1.5, 2.0, 2.5, 3.0)
QUICK_STEPS = 300
OWN_HEAD, OWN_SHIFTED = "own_head", "own_head_shifted"
WORDS = LABELS | {
    OWN_HEAD: "the latents' own head",
    OWN_SHIFTED: "the latents' own head, label shift",
}

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LongTail:
    """A long-tailed training set and a test set cut in two halves, class by class."""

    arrays: Mapping[str, npt.NDArray[Any]]
    report: Labels
    choose: Labels

    @classmethod
    def read(cls, path: Path, half_seed: int) -> "LongTail":
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        missing = [name for name in ("x", "y", "x_test", "y_test", "classes") if name not in arrays]
        if missing:
            raise SystemExit(f"{path} lacks {', '.join(missing)}; it has {', '.join(arrays)}")
        rng, halves = np.random.default_rng(half_seed), ([], [])  # type: ignore[var-annotated]
        for label in np.unique(arrays["y_test"]):
            rows = rng.permutation(np.flatnonzero(arrays["y_test"] == label))
            halves[0].append(rows[: len(rows) // 2])
            halves[1].append(rows[len(rows) // 2 :])
        return cls(arrays, np.sort(np.concatenate(halves[0])), np.sort(np.concatenate(halves[1])))

    @property
    def train_counts(self) -> Labels:
        return np.bincount(self.arrays["y"], minlength=len(self.arrays["classes"]))

    def upload(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the service is given."""
        a = self.arrays
        return {
            "x": a["x"], "y": a["y"], "classes": a["classes"],
            "x_val": a["x_test"][self.choose], "y_val": a["y_test"][self.choose],
            "x_test": a["x_test"][self.report], "y_test": a["y_test"][self.report],
        }  # fmt: skip

    def own_heads(self) -> dict[str, Labels]:
        """Predictions, on the reporting half, of the head that came with the latents."""
        if "head_weight" not in self.arrays:
            return {}
        x = self.arrays["x_test"][self.report].astype(np.float64)
        logits = x @ self.arrays["head_weight"].T.astype(np.float64) + self.arrays["head_bias"]
        prior = np.log(self.train_counts / self.train_counts.sum())
        return {OWN_HEAD: logits.argmax(1)[None], OWN_SHIFTED: (logits - prior).argmax(1)[None]}


def main() -> int:
    face = Face(__doc__, seeds=3)
    face.parser.add_argument("--vectors", help="FILE.npz[:ARRAY] with class vectors, and `classes`")
    face.parser.add_argument(
        "--half-seed", type=int, default=0, help="which half of the test rows chooses"
    )
    face.parser.add_argument("--url", help="a running service; by default one is started")
    arguments = face.parse(data=1)
    data = LongTail.read(arguments.data[0], arguments.half_seed)
    face.say(
        f"{len(data.arrays['x'])} rows, {len(data.arrays['classes'])} classes of "
        f"{data.train_counts.max()} to {data.train_counts.min()}; "
        f"{len(data.choose)} test rows choose, {len(data.report)} report"
    )
    with tempfile.TemporaryDirectory() as home, _client(arguments, home) as client:
        predictions, choices = _through_the_service(face, client, arguments, data, Path(home))
    predictions |= data.own_heads()
    rows = list(_rows(data, predictions))
    face.table(
        ("method", "all", "many", "medium", "few", "balanced", "GeLDA minus it [95 %]"), rows
    )
    face.finish({"rows": _figures(data, predictions), "choices": choices, "seeds": arguments.seeds})
    return 0


def _client(arguments: Namespace, home: str) -> Client:
    return Client(arguments.url) if arguments.url else Client.local(Path(home) / "service")


def _through_the_service(
    face: Face, client: Client, arguments: Namespace, data: LongTail, folder: Path
) -> tuple[dict[str, Labels], list[dict[str, float]]]:
    """Run a job a seed; return int64 (seeds, n) predictions by method, and what was chosen."""
    dataset = client.datasets.upload(data.upload(), name=arguments.data[0].stem, progress=False)
    spec: dict[str, Any] = {"dataset": dataset, "match": "largest"}
    if arguments.vectors:
        file, _, array = arguments.vectors.partition(":")
        upload = client.uploads.create(file, progress=False)
        spec["classes"] = {"source": "upload", "upload": upload, "array": array or "vectors"}
    evaluate: dict[str, Any] = {"seeds": 1, "shares": (1.0,), "temperatures": TEMPERATURES}
    if arguments.quick:
        spec["objective"] = {"steps": QUICK_STEPS}
        evaluate |= {"temperatures": (1.0, 2.0), "controls": ("smote", "label_shift")}
    found: list[dict[str, Labels]] = []
    choices = []
    for seed in range(arguments.seeds):
        job = client.jobs.create(Gelda(**spec), seed=seed, evaluate=EvaluateSpec(**evaluate))
        face.say(f"seed {seed}: {job.id}")
        job.wait()
        job.download(folder / job.id, progress=False)
        with np.load(folder / job.id / "predictions.npz", allow_pickle=False) as file:
            found.append({name: file[name] for name in file.files if name in LABELS})
        choices.append(_choice(job))
        face.say(f"seed {seed}: temperature {choices[-1]['temperature']:g} chosen")
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}, choices


def _choice(job: Job) -> dict[str, float]:
    chosen = job.report.data["choice"]
    return {"temperature": chosen["temperature"], "share": chosen["share"]}


def _measures(data: LongTail, correct: npt.NDArray[np.bool_]) -> dict[str, float]:
    y, counts = data.arrays["y_test"][data.report], data.train_counts
    groups = {
        name: balanced_accuracy(correct, y, len(counts), labels)
        for name, labels in shot_groups(counts).items()
    }
    return {
        "all": accuracy(correct),
        **groups,
        "balanced": balanced_accuracy(correct, y, len(counts)),
    }


def _figures(data: LongTail, predictions: Mapping[str, Labels]) -> dict[str, dict[str, Any]]:
    """Return percent by method and column, and GeLDA's lead over each with its interval."""
    y = data.arrays["y_test"][data.report]
    right = {name: said == y for name, said in predictions.items()}
    figures: dict[str, dict[str, Any]] = {}
    for name in predictions:
        values = {k: round(100 * v, 2) for k, v in _measures(data, right[name]).items()}
        figures[name] = {"label": WORDS[name], **values}
        if name != METHOD:
            lead = Resampled.of(right[METHOD], right[name], y).interval("accuracy")
            figures[name]["lead"] = [round(100 * v, 2) for v in (lead.mean, lead.low, lead.high)]
            figures[name]["standing"] = lead.standing
    return figures


def _rows(data: LongTail, predictions: Mapping[str, Labels]) -> Iterator[tuple[str, ...]]:
    for figures in _figures(data, predictions).values():
        numbers = [f"{figures[c]:.2f}" for c in ("all", "many", "medium", "few", "balanced")]
        lead = figures.get("lead")
        text = (
            ""
            if lead is None
            else f"{lead[0]:+.2f} [{lead[1]:+.2f}, {lead[2]:+.2f}] {figures['standing']}"
        )
        yield (figures["label"], *numbers, text)


if __name__ == "__main__":
    sys.exit(main())

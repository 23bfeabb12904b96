"""Latents a second: our flow beside the 1-D U-Net with 1,000 ancestral steps that others use.

    python -m benchmarks.sampler_speed [--quick] [--data FILE.npz] [--seeds N] [--budget S]
                                       [--latents N] [--blocks N] [--figures FOLDER]

Data: npz with `x`, `y`, `x_test`, `y_test`; by default the 64 pixels of scikit-learn's digits, a
third of them held out. Both train on the same rows; the U-Net until its Fréchet distance to the
held-out rows stops falling (looked at on those very rows, to its advantage) or the budget of seconds
is spent: `reached` is then null. The distance is that of N latents, in the held-out rows' mixture of
classes, to all held-out rows; it shrinks with N, so as many real training rows stand beside it. Ours
is timed with everything that belongs to drawing, the U-Net at the batch of its N latents.
Steps are evaluations of the network: Heun's method at 10 steps makes 19.
With CUDA both are measured again, compiled and captured as CUDA graphs, 65,536 at once.
Cost: 8 minutes on one free core, most of it the U-Net's; with a U-Net trained to its end 40 minutes
(`--budget 3600 --latents 128`), or a GPU.
Expect: at least 200 times as many latents a second on a CPU, at no larger distance.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from benchmarks import card
from benchmarks.ddpm import ROUND, STEPS, Ddpm, Floats, Labels, Training
from benchmarks.face import Face
from benchmarks.figures import Estimate, lines
from models.evaluation.two_samples import frechet_distance
from models.front.front import Front
from models.gelda.generator import Generator
from models.gelda.method import train
from models.gelda.spec import GeldaSpec, SamplerSpec

GOAL = 200
SPEC = GeldaSpec(dataset="ds_" + "0" * 32)
TIMED_LATENTS = 20_000
OURS, RIVAL = "GeLDA", "1-D U-Net"


@dataclass(frozen=True)
class Load:
    """What is trained on, what is drawn and what it is compared with.

    Attributes:
        labels: (n,) classes to draw, in the held-out rows' mixture.
    """

    name: str
    x: Floats
    y: Labels
    x_test: Floats
    labels: Labels

    @classmethod
    def of(cls, name: str, arrays: Mapping[str, np.ndarray], latents: int) -> "Load":
        x, y, x_test, y_test = (arrays[key] for key in ("x", "y", "x_test", "y_test"))
        if min(latents, len(x_test)) <= x.shape[1]:
            raise SystemExit(
                f"{name}: a Fréchet distance in {x.shape[1]} dimensions needs more rows than that; "
                f"found {latents} latents (--latents) and {len(x_test)} held-out rows"
            )
        places = np.linspace(0, len(y_test) - 1, latents).round().astype(int)
        labels = np.sort(y_test)[places].astype(np.int64)
        return cls(
            name, x.astype(np.float32), y.astype(np.int64), x_test.astype(np.float32), labels
        )

    @property
    def n_classes(self) -> int:
        return int(max(self.y.max(), self.labels.max())) + 1

    def distance(self, drawn: Floats) -> float:
        return frechet_distance(drawn.astype(np.float64), self.x_test.astype(np.float64))

    def real(self, seed: int) -> Floats:
        """Return training rows of as many of each class as are drawn, again and again if need be."""
        rng = np.random.default_rng(seed)
        rows = [
            np.resize(rng.permutation(np.flatnonzero(self.y == label)), count)
            for label, count in zip(*np.unique(self.labels, return_counts=True), strict=True)
        ]
        found: Floats = self.x[np.concatenate(rows)]
        return found


def loads(given: Namespace) -> list[Load]:
    if not given.data:
        x, y = load_digits(return_X_y=True)
        parts = train_test_split(x, y, test_size=1 / 3, stratify=y, random_state=0)
        arrays = dict(zip(("x", "x_test", "y", "y_test"), parts, strict=True))
        return [Load.of("digits", arrays, given.latents)]
    found = []
    for path in given.data:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in ("x", "y", "x_test", "y_test") if key not in file]
            if missing:
                raise SystemExit(f"{path} lacks {', '.join(missing)}; it has {', '.join(file)}")
            found.append(Load.of(path.name, file, given.latents))
    return found


def evaluations(sampler: SamplerSpec) -> int:
    """Return how often a solver asks the network."""
    return 2 * sampler.steps - 1 if sampler.name == "heun" else sampler.steps


def ours(load: Load, seed: int, steps: int | None, device: str, face: Face) -> Generator:
    """Train our generator with default settings, but for the steps where they are given."""
    objective = SPEC.objective.model_copy(update={"steps": steps})
    with tempfile.TemporaryDirectory() as scratch:
        return train(
            load.x,
            load.y,
            classes=[str(label) for label in range(load.n_classes)],
            vectors=None,
            spec=SPEC.model_copy(update={"objective": objective}),
            seed=seed,
            scratch=Path(scratch),
            front=Front.identity(load.x.shape[1]),
            device=device,
            on_progress=lambda step, steps, _loss: face.progress(step, steps),
        )


def timed(
    generator: Generator, load: Load, seed: int, sampler: SamplerSpec, latents: int
) -> tuple[Floats, float]:
    """Return a latent for each of the load's labels, and latents a second over ``latents``."""

    def draw(labels: Labels) -> Floats:
        counters = np.arange(len(labels), dtype=np.int64)
        return generator.sample(labels, counters, seed=seed, sampler=sampler)

    began = time.monotonic()
    draw(np.resize(load.labels, latents))
    rate = latents / (time.monotonic() - began)
    return draw(load.labels), rate


def measure(load: Load, seed: int, given: Namespace, face: Face) -> dict[str, Any]:
    """Train both, draw from both; return the figures of one repetition."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    face.begin(f"{load.name}, seed {seed}: train {OURS}")
    generator = ours(load, seed, given.train_steps, device, face)
    training = face.end()
    rival = Ddpm(load.x, load.y, load.n_classes, blocks=given.blocks, seed=seed, device=device)
    face.begin(f"{load.name}, seed {seed}: train the {RIVAL}, {given.budget:g} s at most")
    run = rival.fit(
        lambda draw: load.distance(draw(load.labels)),
        budget=given.budget,
        look_after=given.look_after,
        on_progress=face.progress,
    )
    rows = _drawn(generator, rival, load, seed, given, face)
    real = load.distance(load.real(seed))
    own, equal = rows[0]["latents_per_s"], rows[2]["latents_per_s"]
    return {
        "data": load.name,
        "seed": seed,
        "device": device,
        "latents": len(load.labels),
        "rows": rows,
        "real_frechet": real,
        "ratio": own / rows[1]["latents_per_s"],
        "ratio_at_equal_steps": own / equal,
        "not_worse": rows[0]["frechet"] <= rows[1]["frechet"],
        "train_s": training,
        "rival": _told(run, rival),
        "card": card.measure(generator, rival, load.labels, load.distance)
        if device == "cuda"
        else None,
    }


def _drawn(
    generator: Generator, rival: Ddpm, load: Load, seed: int, given: Namespace, face: Face
) -> list[dict[str, Any]]:
    """Return a row each: ours and the rival at their own steps, the rival and ours at the other's."""
    own = SPEC.sampler
    at_rival_steps = SamplerSpec(name="dpmpp_2m", steps=given.steps)
    rows = []
    for name, steps in (
        (OURS, evaluations(own)),
        (RIVAL, given.steps),
        (RIVAL, evaluations(own)),
        (OURS, given.steps),
    ):
        face.begin(f"{load.name}, seed {seed}: {name}, {steps} steps")
        if name == RIVAL:
            began = time.monotonic()
            x = rival.draw(load.labels, steps=steps, on_progress=face.progress)
            rate = len(x) / (time.monotonic() - began)
        else:
            sampler = own if steps == evaluations(own) else at_rival_steps
            # About as much work at either number of steps.
            n = max(len(load.labels), given.timed * evaluations(own) // steps)
            x, rate = timed(generator, load, seed, sampler, n)
        distance = load.distance(x)
        rows.append({"method": name, "steps": steps, "latents_per_s": rate, "frechet": distance})
    face.end()
    return rows


def _told(run: Training, rival: Ddpm) -> dict[str, Any]:
    return {
        "parameters": sum(p.numel() for p in rival.network.parameters()),
        "train_steps": run.steps,
        "train_s": run.seconds,
        "stopped_by": run.stopped_by,
        "watched": run.watched,
    }


def figure(found: dict[str, Any]) -> Figure:
    """Return speed and distance of both, at own and equal steps."""
    series = {
        name: [
            (row["latents_per_s"], Estimate(row["frechet"]))
            for row in sorted(found["rows"], key=lambda row: row["latents_per_s"])
            if row["method"] == name
        ]
        for name in (OURS, RIVAL)
    }
    ends = [point[0] for points in series.values() for point in points]
    series["real training rows"] = [
        (end, Estimate(found["real_frechet"])) for end in (min(ends), max(ends))
    ]
    return lines(
        series,
        x_label="latents a second (more is better)",
        y_label="Fréchet distance (less is better)",
        title=f"{found['data']}: each at its own and at the other's number of steps",
        log_x=True,
        log_y=True,
    )


def options(face: Face) -> Namespace:
    add = face.parser.add_argument
    add("--threads", type=int, default=1, help="torch threads (default: 1)")
    add("--budget", type=float, default=150, help="seconds for the U-Net's training (150)")
    add("--latents", type=int, default=100, help="drawn for the distance (default: 100)")
    add("--blocks", type=int, default=1, help="residual blocks a level: 1; 2 halve its speed")
    given = face.parse()
    given.timed, given.steps, given.train_steps, given.look_after = (
        TIMED_LATENTS,
        STEPS,
        None,
        ROUND,
    )
    if given.quick:
        given.timed, given.steps, given.train_steps, given.look_after = 1_000, 40, 20, 2
        given.budget, given.latents = 0.1, 80
    torch.set_num_threads(given.threads)
    return given


def main() -> None:
    face = Face(__doc__)
    given = options(face)
    found = [
        measure(load, seed, given, face) for load in loads(given) for seed in range(given.seeds)
    ]
    table = [[f["data"], f["seed"], *row.values()] for f in found for row in f["rows"]]
    table += [
        [f["data"], f["seed"], "real training rows", None, None, f["real_frechet"]] for f in found
    ]
    face.table(["data", "seed", "method", "steps", "latents/s", "Fréchet distance"], table)
    face.figure("sampler_speed", lambda: figure(found[0]))
    ratio = min(f["ratio"] for f in found)
    reached = ratio >= GOAL and all(f["not_worse"] for f in found)
    stopped_by = sorted({f["rival"]["stopped_by"] for f in found})
    face.finish(
        {
            "ratio": ratio,
            "ratio_at_equal_steps": min(f["ratio_at_equal_steps"] for f in found),
            "goal": GOAL,
            # Beside a rival that might still have gained, nothing is proved.
            "reached": None if "budget" in stopped_by else reached,
            "rival_stopped_by": stopped_by,
            "quick": given.quick,
            "threads": given.threads,
            "torch": torch.__version__,
            "runs": found,
        }
    )


if __name__ == "__main__":
    main()

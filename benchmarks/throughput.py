"""Train a GeLDA generator and draw from it: rows a second, on one process.

    python -m benchmarks.throughput [--quick] [--data FILE.npz] [--seeds N] [--threads N]

10,000 rows of 64 dimensions in 100 classes with a long tail (made up, or `x` and `y` of the files
given), default settings; then 40,000 latents. Cost: about a minute on one core.
Expect: train + draw in under 300 s on two ordinary cores.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.face import Face
from models.front.front import Front
from models.gelda.method import Generator, train
from models.gelda.spec import GeldaSpec

SPEC = GeldaSpec(dataset="ds_" + "0" * 32)
QUICK_STEPS = 50
GOAL_SECONDS = 300.0
CLASSES = 100


@dataclass(frozen=True)
class Load:
    """What is trained on, and how much is drawn."""

    name: str
    x: np.ndarray
    y: np.ndarray
    latents: int


def made_up(rows: int, dim: int, latents: int) -> Load:
    """Return ``rows`` in 100 classes whose sizes fall by a factor of 100 from first to last."""
    rng = np.random.default_rng(0)
    shares = 0.01 ** (np.arange(CLASSES) / (CLASSES - 1))
    y = np.sort(rng.choice(CLASSES, size=rows, p=shares / shares.sum()))
    y[:CLASSES] = np.arange(CLASSES)  # nobody left out
    x = rng.standard_normal((rows, dim)) + 2 * rng.standard_normal((CLASSES, dim))[y]
    return Load(f"{rows:,} × {dim}", x.astype(np.float32), y.astype(np.int64), latents)


def from_file(path: Path, latents: int) -> Load:
    """Return the rows of an npz with `x` and `y` (integers)."""
    with np.load(path, allow_pickle=False) as arrays:
        return Load(path.name, arrays["x"], arrays["y"].astype(np.int64), latents)


def measure(load: Load, seed: int, face: Face, spec: GeldaSpec) -> dict[str, Any]:
    """Train and draw once; return the seconds and rates."""
    face.begin(f"{load.name}, seed {seed}: train")
    with tempfile.TemporaryDirectory() as scratch:
        generator = train(
            load.x,
            load.y,
            classes=[str(label) for label in range(int(load.y.max()) + 1)],
            vectors=None,
            spec=spec,
            seed=seed,
            scratch=Path(scratch),
            front=Front.identity(load.x.shape[1]),
            on_progress=lambda step, steps, _loss: face.progress(step, steps),
        )
    training = face.end()
    face.begin(f"{load.name}, seed {seed}: draw {load.latents:,}")
    _draw(generator, load, seed, face)
    drawing = face.end()
    return {
        "data": load.name,
        "seed": seed,
        "steps": generator.config["objective"]["steps"],
        "train_s": training,
        "latents": load.latents,
        "draw_s": drawing,
        "total_s": training + drawing,
        "latents_per_s": load.latents / drawing,
    }


def _draw(generator: Generator, load: Load, seed: int, face: Face) -> None:
    present = np.unique(load.y)
    labels = np.resize(present, load.latents)
    counters = np.arange(load.latents) // len(present)
    drawn = generator.sample(
        labels, counters, seed=seed, sampler=SPEC.sampler, on_progress=face.progress
    )
    assert np.isfinite(drawn).all()


def main() -> None:
    face = Face(__doc__)
    face.parser.add_argument("--threads", type=int, default=1, help="torch threads (default: 1)")
    given = face.parse()
    torch.set_num_threads(given.threads)
    latents = 2_000 if given.quick else 40_000
    loads = [from_file(path, latents) for path in given.data]
    if not loads:
        loads = [made_up(1_000 if given.quick else 10_000, 64, latents)]
    spec = SPEC
    if given.quick:
        objective = SPEC.objective.model_copy(update={"steps": QUICK_STEPS})
        spec = SPEC.model_copy(update={"objective": objective})
    rows = [measure(load, seed, face, spec) for load in loads for seed in range(given.seeds)]
    slowest = max(row["total_s"] for row in rows)
    figures = {
        "seconds": slowest,
        "goal_seconds": GOAL_SECONDS,
        "reached": slowest < GOAL_SECONDS,
        "quick": given.quick,
        "threads": given.threads,
        "torch": torch.__version__,
    }
    face.table(list(rows[0]), [list(row.values()) for row in rows])
    face.finish(figures | {"rows": rows})


if __name__ == "__main__":
    main()

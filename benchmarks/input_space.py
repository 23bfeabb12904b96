"""One budget of training, spent on a diffusion model of the pixels and on one of the latents.

    python -m benchmarks.input_space --data pacs64 --model mobilenetv2-imagenet
        [--budget 60] [--pixels 64] [--scarce art_painting] [--keep FOLDER]

Data and model: as for `benchmarks.encoder_layers`, and so are the domain that is short of images, what
trains, what chooses and what reports. Latents are the model's own output.

Pixel space: a 2-D U-Net that hears class and domain, trained on the same images by the same flow, and
mirrored ones; what it draws goes through the same encoder. Latent space: GeLDA on the embeddings. Each
may train for ``--budget`` seconds of the processor, on one thread; GeLDA ends earlier where the images that
choose say so. Both draw 60 rows a class of the scarce domain in 10 steps of Heun's method, and both train the
same head, whose penalty the same few images choose. Beside them: real rows only, and the ten real
ones of each class *repeated* as often, which is all that weighting can do.

Told are the mean recall (UAR) on the domain's other images with paired intervals, the Fréchet distance
of the added rows to held-out ones in 64 components of the prepared latents, at equal numbers of each
class (`real`: further held-out rows in their place), and rows a second: drawn, and for pixels drawn
and encoded. Embedding the training images is needed by both and not counted.

A seed draws the images that train and choose, and repeats everything. Cost of 3 seeds on one free core:
8 minutes, and two before them for the embeddings (``--keep`` spares them other runs). Expect pixels to be far
from done after a minute and to harm the head, and GeLDA to be ahead of real rows alone, not of `repeated`.
"""

import sys
import tempfile
import time
from argparse import Namespace
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.comparison import Comparison, pooled
from benchmarks.encoder_passes import Passes, add_options, model_at
from benchmarks.face import Face
from benchmarks.figures import Estimate, grouped_bars
from benchmarks.layer_worth import GELDA, REAL, Added, Labels, heads
from benchmarks.low_resource import ADDED, PENALTIES, REPEATED, drawn, repeated, spec_of
from benchmarks.pixel_flow import GRID, PixelFlow
from benchmarks.raw_images import DrawnImages, RawImages, Vectors
from models.encoders.encode import Encoder
from models.encoders.spec import EncoderSpec
from models.errors import Interrupted
from models.evaluation.data import EvaluationData
from models.evaluation.splits import TEST, TRAIN
from models.evaluation.trainer import first_rows
from models.evaluation.two_samples import frechet_distance
from models.front.preparation import transformed
from models.gelda import method
from models.gelda.spec import GeldaSpec
from models.study.rivals import Semantics
from models.study.study import Study

PIXELS = "pixels"
WORDS = {
    GELDA: "GeLDA",
    REAL: "real rows only",
    REPEATED: "real rows of the domain, repeated",
    PIXELS: "diffusion on pixels",
}
FRECHET_COMPONENTS = 64
SOLVER_STEPS = 10
TRIAL_STEPS = 40
"""Of a training that is broken off, by which the number of steps in a budget is told."""

Told = dict[str, Any]


@dataclass
class Seed:
    """One repetition: what the heads say, and by arm what its rows cost and how real they are."""

    said: dict[str, Labels]
    told: dict[str, Told] = field(default_factory=dict)


def main() -> int:
    face = Face(__doc__, seeds=3)
    given = options(face)
    torch.set_num_threads(1)
    images = RawImages.read(given.data[0])
    scarce = images.domain(given.scarce)
    found = model_at(given.model)
    passes = Passes.of(found)
    face.begin(f"{len(images):,} images through {found.id}")
    own = passes.last + 1
    x = passes.embeddings(images, [own], given.keep, face.progress)[own]
    encoder = Encoder.load(found, EncoderSpec(model=found.id), modality="image")
    seeds = [one_seed(face, given, images, x, encoder, seed) for seed in range(given.seeds)]
    y = images.y[images.split(scarce, 0) == TEST]
    predictions = pooled([one.said for one in seeds])
    columns = {"UAR": np.arange(len(images.classes))}
    comparison = Comparison(y, predictions, columns, words=WORDS, metric="balanced_accuracy")
    title = f"{given.budget:g} s of training each, {given.seeds} seeds"
    rows = comparison.show(face, title, "input_space")
    costs = show_costs(face, [one.told for one in seeds])
    face.finish(
        {
            "rows": rows,
            "costs": costs,
            "by_seed": [one.told for one in seeds],
            "model": found.id,
            "revision": found.revision,
            "budget": given.budget,
            "pixels": given.pixels,
            "added": ADDED,
            "seeds": given.seeds,
            "quick": given.quick,
        }
    )
    return 0


def options(face: Face) -> Namespace:
    add = face.parser.add_argument
    add("--budget", type=float, default=60, metavar="S", help="processor seconds of training (60)")
    add("--pixels", type=int, choices=(32, 64), default=64, help="side of drawn images (64)")
    add_options(face)
    given = face.parse(data=1, folders=True)
    given.solver_steps = SOLVER_STEPS
    if given.quick:
        given.budget, given.solver_steps, given.pixels = 0.2, 2, 2 * GRID
    return given


def one_seed(
    face: Face, given: Namespace, images: RawImages, x: Vectors, encoder: Encoder, seed: int
) -> Seed:
    """Train both, draw from both, and let the same head learn from each."""
    spec, evaluation = spec_of(given.scarce, given.quick)
    split, scarce = images.split(images.domain(given.scarce), seed), images.domain(given.scarce)
    with tempfile.TemporaryDirectory() as scratch:
        face.begin(f"seed {seed}: GeLDA, {given.budget:g} s of the processor at most")
        study = Study(
            images.dataset(x), split, spec, evaluation, Semantics(None), seed, Path(scratch)
        )
        steps = steps_within(given.budget, study)
        study.spec = with_steps(spec, steps, given.solver_steps)
        began = time.process_time()
        known = study.level(0).data
        trained = time.process_time()
        latents = drawn(study)
        rate = len(latents[1]) / (time.process_time() - trained)
    curve = study.generators[0].config["held_out_history"]
    told: dict[str, Told] = {
        GELDA: {
            "train_s": trained - began,
            "steps": steps,
            "best_step": min(curve, key=lambda look: look[1])[0] if curve else steps,
            "rows_per_s": rate,
        }
    }
    pictures, told[PIXELS] = from_pixels(face, given, images, study, encoder, seed)
    added = {REAL: None, REPEATED: repeated(known, scarce), PIXELS: pictures, GELDA: latents}
    face.begin(f"seed {seed}: heads")
    said = heads(known, spec, added, seed, PENALTIES)
    face.end()
    for arm, distance in distances(
        known, {k: v for k, v in added.items() if v is not None}
    ).items():
        told.setdefault(arm, {})["frechet"] = distance
    return Seed(said, told)


def with_steps(spec: GeldaSpec, steps: int, solver_steps: int) -> GeldaSpec:
    """Return the settings with so many steps of the optimiser and of the solver."""
    return spec.model_copy(
        update={
            "objective": spec.objective.model_copy(update={"steps": steps}),
            "sampler": spec.sampler.model_copy(update={"steps": solver_steps}),
        }
    )


def steps_within(budget: float, study: Study) -> int:
    """Return how many steps of the study's generator fit into a budget, by a few of them."""
    at: list[float] = []

    def enough() -> bool:
        at.append(time.process_time())
        return len(at) > TRIAL_STEPS

    rows, data = np.flatnonzero(study.split == TRAIN), study.data
    assert data.subdomain is not None
    with suppress(Interrupted):
        method.train(
            data.x[rows],
            data.y[rows],
            classes=data.classes,
            vectors=None,
            subdomain=data.subdomain[rows],
            subdomains=data.subdomains,
            spec=with_steps(study.spec, 10 * TRIAL_STEPS, SOLVER_STEPS),
            seed=study.seed,
            scratch=study.scratch,
            front=study.prepared.front(0),
            should_stop=enough,
        )
    return max(1, int(budget * (len(at) - 1) / (at[-1] - at[0])))


def from_pixels(
    face: Face, given: Namespace, images: RawImages, study: Study, encoder: Encoder, seed: int
) -> tuple[Added, Told]:
    """Return the prepared latents of drawn images with their classes, and what they cost."""
    rows = np.flatnonzero(study.split == TRAIN)
    k, s = len(images.classes), len(images.subdomains)
    face.begin(f"seed {seed}: pixels, {given.budget:g} s of the processor")
    cells = images.y[rows] * s + images.subdomain[rows]
    flow = PixelFlow(images.pixels(rows, given.pixels), cells, k, s, seed=seed)
    run = flow.fit(given.budget, face.progress)
    face.begin(f"seed {seed}: drawing and encoding images")
    y = np.repeat(np.arange(k), ADDED)
    began = time.process_time()
    wanted = y * s + images.domain(given.scarce)
    made = DrawnImages(flow.draw(wanted, given.solver_steps, face.progress))
    drawn_at = time.process_time()
    x = encoder.encode(made, range(len(made)), decode=made.decode, on_progress=face.progress)
    encoded_at = time.process_time()
    told = {
        "train_s": run.seconds,
        "steps": run.steps,
        "losses": run.losses,
        "parameters": sum(p.numel() for p in flow.network.parameters()),
        "rows_per_s": len(y) / (drawn_at - began),
        "rows_per_s_encoded": len(y) / (encoded_at - began),
    }
    return (transformed(study.prepared.front(0), x), y), told


def distances(known: EvaluationData, added: dict[str, Added]) -> dict[str, float]:
    """Return the Fréchet distance of each arm's rows to held-out ones, and of other held-out ones.

    Each side has as many rows of each class, half as many as the smallest class has held-out rows.
    """
    k, test = len(known.classes), known.test
    each = np.full(k, min(ADDED, int(np.bincount(test.y, minlength=k).min()) // 2))
    real = first_rows(test.y, each)
    others = np.setdiff1d(first_rows(test.y, 2 * each), real)
    components = min(FRECHET_COMPONENTS, len(real) // 2)
    compared = {REAL: test.x[others]}
    compared |= {arm: x[first_rows(y, each)] for arm, (x, y) in added.items()}
    target = np.asarray(test.x[real][:, :components], dtype=np.float64)
    return {
        arm: frechet_distance(np.asarray(x[:, :components], dtype=np.float64), target)
        for arm, x in compared.items()
    }


def show_costs(face: Face, seeds: list[dict[str, Told]]) -> dict[str, Told]:
    """Print and draw what the rows of each arm cost and how far they are from held-out ones."""
    told: dict[str, Told] = {}
    for arm in WORDS:
        each = [seed[arm] for seed in seeds]
        keys = [key for key, value in each[0].items() if isinstance(value, int | float)]
        told[arm] = {key: round(float(np.mean([one[key] for one in each])), 3) for key in keys}
    columns = ("train_s", "steps", "rows_per_s", "rows_per_s_encoded", "frechet")
    rows = [[WORDS[arm], *(found.get(column) for column in columns)] for arm, found in told.items()]
    face.table(("rows", *(column.replace("_", " ") for column in columns)), rows)
    arms = [REAL, REPEATED, PIXELS, GELDA]
    bars = [Estimate.over([seed[arm]["frechet"] for seed in seeds]) for arm in arms]
    names = ["held-out real rows", "real rows repeated", "drawn as pixels", "GeLDA"]
    face.figure(
        "input_space-frechet",
        lambda: grouped_bars(
            names,
            {"to held-out rows": bars},
            y_label="Fréchet distance (less is better)",
            title="How far the added rows are from held-out ones",
        ),
    )
    return told


if __name__ == "__main__":
    sys.exit(main())

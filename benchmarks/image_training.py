"""Training speed on images: ours beside a plain loop that reads and decodes its files again and again.

    python -m benchmarks.image_training [--quick] [--data FILE.npz] [--seeds N] [--shots N] [--epochs N]
                                        [--network resnet-8] [--batch 32] [--device NAME]

Data: npz with uint8 `x` (n, side, side, 3) and `y`, of which the first N of each class are taken; by
default 250 images of 32 pixels that are made up. Three trainings: a classifier on real images, the same
with synthetic ones at a probability of one half (as published: t in [.1, .4], no residuals), and GLICO's
own of codes and generator. Networks, losses, batch and numbers of images are the same.

The plain loop works as the published code does with folders of images: each item is a PNG file, opened,
decoded, cropped, mirrored and normalised by itself whenever an epoch comes to it; float32, contiguous.
Synthetic images share a coin and a t for a whole batch, whose real images were read all the same; they
come back to the CPU and are normalised one by one. GLICO's optimisers are made anew every epoch, with a
dense Adam on all codes, and images are decoded from codes once for each loss; `decoded once` spares it that.
Workers of its loader live from epoch to epoch and start before the clock does.

All have one torch thread and take turns, backwards on every other; N seeds are N turns, and medians count.
Beside images a second stand images a second of the processor's time of the training's own process, which
other work on the machine hardly changes and a loader's workers do not count in.
Cost: about 4 minutes on a free core.
Expect: on a processor with AMX at least twice as many images a second; on others what `ours, float32`
leaves of it, about 1.4 times, most of which is layout: of small images the files cost little.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.face import Face
from benchmarks.few_shot import Labels
from benchmarks.few_shot_arms import PUBLISHED
from benchmarks.plain_images import DECODER, Load, Synthetic, plain, plain_glico
from models.glico import method
from models.glico.decoder import NOISE_DIM
from models.glico.generator import Generator, drawn_mix
from models.glico.spec import GlicoSpec, InterpolationSpec, ReconstructionSpec
from models.images.classifier import Images
from models.images.spec import ImageClassifierSpec
from models.images.train import Source, fit
from models.precision import resolve
from models.spec import Precision

TURNS, SHOTS, EPOCHS, SIDE, CLASSES = 9, 25, 3, 32, 10
OURS, FULL, PLAIN, WORKERS = "ours", "ours, float32", "plain loop", "plain loop, 2 workers"
ONCE = "plain loop, decoded once"
PUBLISHED_FORM = InterpolationSpec.model_validate(PUBLISHED)
GLICO = GlicoSpec(dataset="ds_" + "0" * 32, decoder=DECODER)

Way = Callable[[], int]
"""A training; it returns how many images it went through."""


def ours(load: Load, precision: Precision, source: Source | None) -> int:
    """Train our classifier."""
    spec = load.classifier.model_copy(update={"steps": load.steps, "precision": precision})
    probability = 0.0 if source is None else 0.5
    fit(
        load.x, load.y, load.n_classes, spec, 0,
        source=source, probability=probability, device=load.device,
    )  # fmt: skip
    return load.steps * spec.batch_size


def full_source(generator: Generator) -> Source:
    """Return `Generator.source` in float32."""

    @torch.inference_mode()
    def draw(rows: Tensor, random: torch.Generator) -> Tensor:
        mix = drawn_mix(generator.members, rows, random, PUBLISHED_FORM)
        noise = torch.randn(len(rows), NOISE_DIM, generator=random)
        return generator.decode(mix, PUBLISHED_FORM, noise.to(generator.codes.device))

    return draw


def glico(load: Load, precision: Precision = "auto", steps: int | None = None) -> Generator:
    """Train our generator."""
    settings = ReconstructionSpec(
        steps=steps or load.steps, batch_size=load.classifier.batch_size, precision=precision
    )
    return method.train(
        load.x,
        load.y,
        classes=[str(label) for label in range(load.n_classes)],
        spec=GLICO.model_copy(update={"reconstruction": settings}),
        seed=0,
        scratch=load.folder,
        device=load.device,
    )


def our_glico(load: Load, precision: Precision) -> int:
    glico(load, precision)
    return load.steps * load.classifier.batch_size


def ways_of(load: Load) -> dict[str, dict[str, Way]]:
    """Return the ways of each of the three trainings."""
    alone, helped, raw = load.loader(), load.loader(2), load.loader(augmented=False)
    generator, made = glico(load, steps=1), Synthetic(load)
    half, full = generator.source(PUBLISHED_FORM), full_source(generator)
    return {
        "real images": {
            OURS: lambda: ours(load, "auto", None),
            FULL: lambda: ours(load, "float32", None),
            PLAIN: lambda: plain(load, alone, None),
            WORKERS: lambda: plain(load, helped, None),
        },
        "with synthetic": {
            OURS: lambda: ours(load, "auto", half),
            FULL: lambda: ours(load, "float32", full),
            PLAIN: lambda: plain(load, alone, made),
            WORKERS: lambda: plain(load, helped, made),
        },
        "GLICO itself": {
            OURS: lambda: our_glico(load, "auto"),
            FULL: lambda: our_glico(load, "float32"),
            PLAIN: lambda: plain_glico(load, raw, once=False),
            ONCE: lambda: plain_glico(load, raw, once=True),
        },
    }


def measure(ways: Mapping[str, Way], turns: int, face: Face, name: str) -> dict[str, Any]:
    """Run the ways in turns; return images a second of each, and ours as a multiple of each other."""
    clocks = {"second": time.perf_counter, "cpu_second": time.process_time}
    rates: dict[str, dict[str, list[float]]] = {
        clock: {way: [] for way in ways} for clock in clocks
    }
    face.begin(f"{name}, {turns} turns")
    for turn in range(-1, turns):  # one before the clock starts
        for way in ways if turn % 2 == 0 else reversed(list(ways)):
            began = {clock: now() for clock, now in clocks.items()}
            seen = ways[way]()
            if turn >= 0:
                for clock, now in clocks.items():
                    rates[clock][way].append(seen / (now() - began[clock]))
        face.progress(turn + 1, turns)
    face.end()
    told: dict[str, Any] = {}
    for clock, found in rates.items():
        ours = np.array(found[OURS])
        told[f"images_per_{clock}"] = {way: median(rate) for way, rate in found.items()}
        told["times" if clock == "second" else "cpu_times"] = {
            way: median((ours / rate).tolist()) for way, rate in found.items() if way != OURS
        }
    return told


def made_up(shots: int) -> tuple[Images, Labels]:
    """Return images of soft patches with grain, ``shots`` a class, about as hard to decode as photographs."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(CLASSES), shots)
    patches = rng.integers(0, 256, (len(y), 4, 4, 3), dtype=np.uint8)
    size = SIDE, SIDE
    soft = [Image.fromarray(p).resize(size, Image.Resampling.BICUBIC) for p in patches]
    grain = np.stack([np.asarray(image) for image in soft]) + rng.normal(0, 6, (len(y), *size, 1))
    return grain.clip(0, 255).astype(np.uint8), y


def read(path: Path, shots: int) -> tuple[Images, Labels]:
    """Return the first ``shots`` images of each class of an npz with `x` and `y`."""
    with np.load(path, allow_pickle=False) as file:
        missing = [key for key in ("x", "y") if key not in file]
        if missing:
            raise SystemExit(f"{path} lacks {', '.join(missing)}; it has {', '.join(file)}")
        x, y = file["x"], file["y"].astype(np.int64)
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] != 3 or x.shape[1] != x.shape[2]:
        raise SystemExit(f"{path}: x must be uint8 (n, side, side, 3); found {x.dtype} {x.shape}")
    rows = np.concatenate([np.flatnonzero(y == label)[:shots] for label in np.unique(y)])
    return x[rows], y[rows]


def load_of(given: Namespace, folder: Path) -> Load:
    """Return what the options ask for."""
    shots, epochs = (4, 1) if given.quick else (given.shots, given.epochs)
    x, y = read(given.data[0], shots) if given.data else made_up(shots)
    small = {"width": 4} if given.quick else {}
    spec = ImageClassifierSpec(network=given.network, batch_size=given.batch, **small)
    return Load(x, y, folder, spec, epochs, given.device)


def main() -> None:
    face = Face(__doc__, seeds=TURNS)
    add = face.parser.add_argument
    add("--shots", type=int, default=SHOTS, metavar="N", help=f"images a class ({SHOTS})")
    add("--epochs", type=int, default=EPOCHS, metavar="N", help=f"of a training ({EPOCHS})")
    add("--network", default="resnet-8", help="of the classifiers (resnet-8)")
    add("--batch", type=int, default=32, help="images a step (32)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = face.parse()
    torch.set_num_threads(1)  # as a worker's child has
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="cultivar-images-") as folder:
        load = load_of(given, Path(folder))
        found = {
            name: measure(ways, given.seeds, face, name) for name, ways in ways_of(load).items()
        }
    columns = "images_per_cpu_second", "times", "cpu_times"
    face.table(
        ["training", "way", "images/s", "images/CPU s", "ours ÷ it", "of a CPU s"],
        [
            [name, way, rate, *(each[clock].get(way) for clock in columns)]
            for name, each in found.items()
            for way, rate in each["images_per_second"].items()
        ],
    )
    face.finish(
        {
            "trainings": found,
            "images": len(load.x),
            "side": load.x.shape[1],
            "epochs": load.epochs,
            "batch": given.batch,
            "network": given.network,
            "device": given.device,
            "precision": resolve("auto", given.device),
            "turns": given.seeds,
            "torch": torch.__version__,
            "quick": given.quick,
        }
    )


if __name__ == "__main__":
    main()

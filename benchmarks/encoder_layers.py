"""Which hidden layer of a foundation model the generator should stand on, from raw images.

    python -m benchmarks.encoder_layers --data pacs64 --model mobilenetv2-imagenet
        [--layers N …] [--scarce art_painting] [--keep FOLDER]

Data: a folder with ``metadata.csv`` (file_name, label, domain). Model: the folder of an image model as
transformers keeps it, or the name of one at hand. Told are five hidden layers, from the first block's to
the last, and the model's own output, which goes by the next number; ``--layers`` names others. All
come from one pass of the images, made once for all seeds.

One domain is short of images. All images of the others train, and ten of each class in it; ten others
choose the penalty of each head; those that report are images of it alone, the same in each seed.
At every layer the same study is made: 128 components of the roots at most, a generator of which 60
rows a class of the scarce domain are drawn, and the same head, with and without them. `repeated` adds
as many rows too: the ten real ones again and again, which is all that weighting can do.

Of each layer are told, in percent: *diversity* and *relevance* as `benchmarks.layers` has them, and
the *gain* in mean recall (UAR) over real rows alone and over `repeated`. A seed draws the images that
train and choose, and repeats generator and heads.

Cost of 3 seeds on one free core: two minutes for a pass of 3,718 images at 224 px (``--keep`` spares it
other runs), and 10 seconds a layer and seed. Expect relevance to rise with the layer and diversity to
fall, a gain over real rows alone at every layer, and little or none over `repeated`.
"""

import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from benchmarks.encoder_passes import Passes, add_options, model_at
from benchmarks.face import Face
from benchmarks.layer_worth import (
    GELDA,
    REAL,
    Figures,
    Labels,
    Shown,
    diversity,
    heads,
    pooled,
    relevance,
)
from benchmarks.low_resource import ADDED, PENALTIES, REPEATED, drawn, repeated, spec_of
from benchmarks.raw_images import RawImages, Vectors
from models.evaluation.splits import TEST
from models.study.rivals import Semantics
from models.study.study import Study

SPREAD = 5


def main() -> int:
    face = Face(__doc__, seeds=3)
    arguments = options(face)
    images = RawImages.read(arguments.data[0])
    scarce = images.domain(arguments.scarce)
    passes = Passes.of(model_at(arguments.model))
    layers = passes.spread(SPREAD) if arguments.layers is None else chosen(passes, arguments.layers)
    face.begin(f"{len(images):,} images through {passes.found.id}, {len(layers)} layers at once")
    x = passes.embeddings(images, layers, arguments.keep, face.progress)
    seconds = face.end()
    y = images.y[images.split(scarce, 0) == TEST]
    told = {}
    for layer in layers:
        by_seed = [
            one_seed(face, arguments, images, x[layer], layer, seed)
            for seed in range(arguments.seeds)
        ]
        found = pooled(y, [figures for figures, _ in by_seed], [said for _, said in by_seed])
        told[str(layer)] = {"dim": x[layer].shape[1]} | found
    shown = Shown(
        "encoder_layers",
        x_label=f"hidden layer of {passes.found.id} ({passes.last + 1}: its own output)",
        holds="What a hidden layer holds",
        gained="What is gained at a hidden layer",
    )
    shown.table(face, told)
    shown.draw(face, {float(name): found for name, found in told.items()})
    face.finish(
        {
            "rows": told,
            "model": passes.found.id,
            "revision": passes.found.revision,
            "pass_seconds": round(seconds, 1),
            "scarce": arguments.scarce,
            "added": ADDED,
            "seeds": arguments.seeds,
            "quick": arguments.quick,
        }
    )
    return 0


def options(face: Face) -> Namespace:
    add = face.parser.add_argument
    add("--layers", type=int, nargs="+", metavar="N", help="hidden layers (default: five of them)")
    add_options(face)
    return face.parse(data=1, folders=True)


def chosen(passes: Passes, layers: list[int]) -> list[int]:
    """Return the layers that were asked for, and the model's own output."""
    beyond = [n for n in layers if not 0 <= n <= passes.last]
    if beyond:
        raise SystemExit(f"--layers: {beyond[0]} is none of {passes.found.id}'s 0 to {passes.last}")
    return [*sorted(set(layers)), passes.last + 1]


def one_seed(
    face: Face, arguments: Namespace, images: RawImages, x: Vectors, layer: int, seed: int
) -> tuple[Figures, dict[str, Labels]]:
    """Return a layer's figures, and what the heads say of the test rows."""
    spec, evaluation = spec_of(arguments.scarce, arguments.quick)
    scarce = images.domain(arguments.scarce)
    with tempfile.TemporaryDirectory() as scratch:
        face.begin(f"layer {layer}, seed {seed}: {x.shape[1]} dimensions")
        study = Study(
            images.dataset(x), images.split(scarce, seed), spec, evaluation,
            Semantics(None), seed, Path(scratch),
        )  # fmt: skip
        known, made = study.level(0).data, drawn(study)
    added = {REAL: None, REPEATED: repeated(known, scarce), GELDA: made}
    said = heads(known, spec, added, seed, PENALTIES)
    return diversity(known, *made) | relevance(known, spec), said


if __name__ == "__main__":
    sys.exit(main())

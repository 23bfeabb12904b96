"""Cells never seen: a class in a subdomain without one example, generated from u(γ, κ) alone.

    python -m benchmarks.unseen_cells --data speech_emotion_{german,urdu,english}.npz [--features egemaps]
    python -m benchmarks.unseen_cells --data pacs_mobilenetv2.npz --design direct

Data: one npz a subdomain, or one with a column ``domain``; ``x`` (or what ``--features`` names), ``y``
and ``classes`` (or ``label``, ``label_names``), and ``speaker`` where rows belong together. The classes
that all subdomains share are kept. Each cell in turn is left out of the training rows of each of two
folds (by speaker; else by row); preparation, generator and head are fitted without it. Every arm but
`real only` then adds rows of the cell, all with the same total weight, twice a median cell's, and the
same linear head. Told is the unweighted average recall over the test rows of the cell's subdomain,
averaged over cells; and again after a calibration that is the same for every arm: the left-out
class's bias, chosen on the other cells in the other fold.

How GeLDA models latents stands beforehand: ``residual`` (64 components; residuals around additive means,
drawn without conditions: the cell's place carries all the meaning) for few rows a cell, as in speech;
``direct`` (128 components, the latents themselves, drawn under both conditions) for hundreds. γ and κ
are one-hot, as each was seen elsewhere; beside it, γ is learned and κ a subdomain's mean latent. `κ off`
draws from the same flow without κ, around the class's mean elsewhere; `shuffled` deals the class
vectors anew in each subdomain. A seed repeats folds, generators and draws. The interval draws
speakers where they are given, else rows.

Designs, weight and penalty come from prototypes that had seen these very sets. Cost of 5 seeds on one
core: 8 minutes for speech, 12 for PACS. Expect leads over real rows alone and over κ off in the raw
figures, and none worth the name over closed-form rivals after calibration.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from benchmarks.comparison import Comparison
from benchmarks.face import Face
from benchmarks.left_out_cells import DESIGNS, LeftOut, arms, left_out_cells
from benchmarks.subdomain_data import Labels, SubdomainData

Floats = npt.NDArray[np.floating]
Said = Mapping[str, Floats]
"""Logits by arm, (tested rows, K)."""

SHIFTS = np.arange(-4, 4.01, 0.25)
"""What calibration may add to the left-out class's logit."""

WORDS = {
    "gelda": "GeLDA",
    "real": "real rows only",
    "neighbour": "Gaussian at the mean elsewhere + offset",
    "transport": "real rows moved between subdomains",
    "kappa_off": "GeLDA, κ off",
    "shuffled": "GeLDA, shuffled vectors",
    "learned": "GeLDA, γ learned, κ mean latents",
    "ceiling": "the cell in training (ceiling)",
}


def main() -> int:
    face = Face(__doc__, seeds=5)
    face.parser.add_argument("--features", default="x", help="array of embeddings (default: x)")
    face.parser.add_argument("--design", choices=tuple(DESIGNS), default="residual")
    arguments = face.parse()
    data = SubdomainData.read(arguments.data, arguments.features)
    seeds = 1 if arguments.quick else arguments.seeds
    cells = list(left_out_cells(data, seeds))
    design = DESIGNS[arguments.design]
    if arguments.quick:
        design = replace(design, steps=10, sampler=design.sampler.model_copy(update={"steps": 4}))
    face.begin(f"{len(cells)} times a cell is left out")
    said = []
    for number, out in enumerate(cells):
        said.append(arms(data, out, design))
        face.progress(number + 1, len(cells))
    seconds = face.end()
    stem = f"unseen_cells-{'_'.join(data.subdomains)}-{arguments.features}"
    title = f"{len(data.y):,} rows, {len(data.subdomains)} × {len(data.classes)} cells"
    told = {
        "raw": compared(data, cells, said).show(face, f"{title}, raw", stem),
        "calibrated": compared(data, cells, calibrated(data, cells, said)).show(
            face, f"{title}, calibrated", f"{stem}-calibrated"
        ),
    }
    face.finish(
        {
            "rows": told,
            "classes": data.classes,
            "subdomains": data.subdomains,
            "features": arguments.features,
            "design": arguments.design,
            "seeds": seeds,
            "steps": design.steps,
            "seconds": round(seconds),
        }
    )
    return 0


def compared(data: SubdomainData, cells: list[LeftOut], said: Sequence[Said]) -> Comparison:
    """Return the arms over all tested rows of all left-out cells.

    A class counts anew for each left-out cell, so that the mean recall over all of them is the mean
    over cells of the unweighted average recall.
    """
    k, s = len(data.classes), len(data.subdomains)
    first = [i for i, out in enumerate(cells) if out.seed == 0]
    rows = {_place(cells[i]): data.subdomain == cells[i].subdomain for i in first}
    places = {place: np.flatnonzero(here) for place, here in rows.items()}
    y = np.concatenate([_code(place, data.y[r], k, s) for place, r in places.items()])
    group = np.concatenate([data.group[r] for r in places.values()])
    seeds = sorted({out.seed for out in cells})
    predictions = {}
    for arm in WORDS:
        found = {(seed, place): np.full(len(data.y), -1) for seed in seeds for place in places}
        for out, logits in zip(cells, said, strict=True):
            found[out.seed, _place(out)][out.tested] = logits[arm].argmax(axis=1)
        predictions[arm] = np.stack(
            [
                np.concatenate([_code(p, found[seed, p][rows], k, s) for p, rows in places.items()])
                for seed in seeds
            ]
        )
    codes = np.unique(y)
    own = np.array([_code((label, part), np.array([label]), k, s)[0] for label, part in places])
    columns = {"UAR": codes, "left-out": own, "others": np.setdiff1d(codes, own)}
    return Comparison(
        y, predictions, columns, words=WORDS, groups=group, metric="balanced_accuracy"
    )


def calibrated(data: SubdomainData, cells: list[LeftOut], said: Sequence[Said]) -> list[Said]:
    """Return the logits with the left-out class's shifted as it is best for the other cells.

    Best is the mean unweighted average recall of the same arm and seed in the other folds, over
    all cells but this one, smoothed over neighbouring shifts. So no row chooses for itself.
    """
    scores = [
        {
            arm: _recall_by_shift(logits, data.y[out.tested], out.label)
            for arm, logits in all_.items()
        }
        for out, all_ in zip(cells, said, strict=True)
    ]
    result: list[Said] = []
    for out, logits in zip(cells, said, strict=True):
        others = [
            scores[i]
            for i, other in enumerate(cells)
            if other.seed == out.seed and other.fold != out.fold and _place(other) != _place(out)
        ]
        moved = {}
        for arm, values in logits.items():
            mean = np.mean([score[arm] for score in others], axis=0)
            smooth = np.convolve(np.pad(mean, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
            moved[arm] = values.copy()
            moved[arm][:, out.label] += SHIFTS[smooth.argmax()]
        result.append(moved)
    return result


def _recall_by_shift(logits: Floats, y: Labels, label: int) -> npt.NDArray[np.float64]:
    """Return the unweighted average recall under each shift of the class's logit."""
    shifted = np.repeat(logits[None], len(SHIFTS), axis=0)
    shifted[:, :, label] += SHIFTS[:, None]
    right = shifted.argmax(axis=2) == y
    by_class = [right[:, y == one].mean(axis=1) for one in np.unique(y)]
    return np.asarray(np.mean(by_class, axis=0))


def _place(out: LeftOut) -> tuple[int, int]:
    return out.label, out.subdomain


def _code(place: tuple[int, int], y: Labels, k: int, s: int) -> Labels:
    """Return numbers of classes within a left-out cell."""
    label, subdomain = place
    return np.asarray((label * s + subdomain) * k + y, dtype=np.int64)


if __name__ == "__main__":
    sys.exit(main())

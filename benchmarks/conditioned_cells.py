"""Cells never seen, drawn by generators that are told the subdomain in one way or another, or not."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.subdomain_data import Labels, SubdomainData
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.front import preparation
from models.front.front import Front
from models.front.preparation import transformed
from models.front.spec import PreparationSpec
from models.gelda import method
from models.gelda.spec import DenoiserSpec, GeldaSpec, LatentSpec, ObjectiveSpec
from models.semantics.spec import MeanVectors, OneHotVectors

Latents = npt.NDArray[np.float32]

WORDS = {
    "means": "κ: means of latents",
    "one_hot": "κ: one-hot",
    "off": "κ off",
    "real": "real rows only",
}
ADDED = 150
WEIGHT = 2.0
"""Total weight of the added rows, in median cells of the real ones."""

NO_ID = "0" * 32


def spec_of(source: str, steps: int | None) -> GeldaSpec:
    """Return the settings of `benchmarks.unseen_cells` for hundreds of rows a cell, with κ as named."""
    one_hot = OneHotVectors(source="one_hot")
    kappa = {"means": MeanVectors(source="means"), "one_hot": one_hot, "off": None}
    return GeldaSpec(
        dataset=f"ds_{NO_ID}",
        preparation=(PreparationSpec(components=128),),
        classes=one_hot,
        subdomains=kappa[source],
        latents=LatentSpec(model="direct"),
        denoiser=DenoiserSpec(width=128, blocks=2),
        objective=ObjectiveSpec(
            steps=steps or 250, batch_size=128, learning_rate=2e-3, patience=None
        ),
    )


def told_without(
    data: SubdomainData,
    seeds: int,
    steps: int | None,
    most: int | None,
    on_progress: Callable[[int, int], None],
) -> tuple[Labels, dict[str, Labels], Labels, Labels]:
    """Return what each arm says where a cell is left out of training, every cell in turn.

    A class counts anew for each left-out cell, so that the mean recall over all of them is the mean
    over cells of the unweighted average recall.

    Args:
        data: rows of all cells.
        seeds: each parts the rows anew; one half trains, the other's rows are tested on.
        steps: of a generator's training.
        most: cells to leave out, at most; None leaves out every one.
        on_progress: called with cells done and cells in all.

    Returns:
        (codes of the rows tested, predictions by arm `seeds n`, the rows' groups, codes of the left-out
        cells' own rows).
    """
    k, cells = len(data.classes), np.unique(data.cells)[:most]
    parts = len(data.subdomains)
    # Every row is tested on in each seed: by the half that it is not in.
    tested = {cell: np.flatnonzero(data.subdomain == cell % parts) for cell in cells.tolist()}
    said: dict[str, list[Labels]] = {arm: [] for arm in WORDS}
    for seed in range(seeds):
        folds = data.folds(2, seed)
        found: dict[str, list[Labels]] = {arm: [] for arm in WORDS}
        for number, cell in enumerate(cells.tolist()):
            place = tested[cell]
            answers = {arm: np.empty(len(place), np.int64) for arm in WORDS}
            for fold in range(2):
                here = folds[place] == fold
                training = np.flatnonzero((folds != fold) & (data.cells != cell))
                for arm, labels in _one(data, training, place[here], cell, seed, steps).items():
                    answers[arm][here] = labels
            for arm, labels in answers.items():
                found[arm].append(cell * k + labels)
            on_progress(seed * len(cells) + number + 1, seeds * len(cells))
        for arm, coded in found.items():
            said[arm].append(np.concatenate(coded))
    y = np.concatenate([cell * k + data.y[tested[cell]] for cell in cells.tolist()])
    group = np.concatenate([data.group[tested[cell]] for cell in cells.tolist()])
    own = cells * k + cells // parts
    return y, {arm: np.stack(found) for arm, found in said.items()}, group, own


def _one(
    data: SubdomainData, training: Labels, tested: Labels, cell: int, seed: int, steps: int | None
) -> dict[str, Labels]:
    """Return what each arm says of the tested rows, its head trained without the cell's own rows."""
    x, y, subdomain = data.x[training], data.y[training], data.subdomain[training]
    label, k = cell // len(data.subdomains), len(data.classes)
    front = Front(preparation.fit(x, spec_of("off", steps).preparation[0])).eval()
    z, z_test = transformed(front, x), transformed(front, data.x[tested])
    size = np.float32(np.sqrt(np.square(z).mean()))
    seen = np.bincount(data.cells[training])
    weight = WEIGHT * float(np.median(seen[seen > 0])) / len(y)
    head = HeadSpec(loss="logit_adjusted", adjustment=0, weight_decay=0.02, synthetic_weight=weight)
    said = {}
    for arm in WORDS:
        added = z[:0]
        if arm != "real":
            spec = spec_of(arm, steps)
            named = data.subdomains if spec.subdomains is not None else ()
            with tempfile.TemporaryDirectory() as scratch:
                generator = method.train(
                    x, y, classes=data.classes, vectors=None, spec=spec, seed=seed,
                    scratch=Path(scratch), front=front,
                    subdomain=subdomain if named else None, subdomains=named,
                )  # fmt: skip
            numbers = np.full(ADDED, cell if named else label)
            added = generator.sample(
                numbers, np.arange(ADDED), seed=seed, sampler=spec.sampler, space="latent"
            )
        rows = np.concatenate([z, added]) / size
        labels = np.concatenate([y, np.full(len(added), label)])
        said[arm] = fit_head(rows, labels, k, head, 0, n_real=len(y)).predict(z_test / size)
    return said

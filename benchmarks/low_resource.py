"""A domain of few images beside one of many: the settings, and what a study of it is measured by."""

import numpy as np

from benchmarks.layer_worth import Added
from models.classifiers.spec import HeadSpec
from models.evaluation.data import EvaluationData
from models.evaluation.settings import Choice
from models.evaluation.spec import EvaluateSpec
from models.front.spec import PreparationSpec
from models.gelda.spec import DenoiserSpec, GeldaSpec, LatentSpec, ObjectiveSpec
from models.planning.spec import CellCount, PlanSpec
from models.semantics.spec import OneHotVectors
from models.study.study import Study

NO_ID = "0" * 32
COMPONENTS = 128
STEPS, QUICK_STEPS = 300, 5
ADDED = 60
"""Rows of each class that every arm adds to the real ones, all of the scarce domain."""

PENALTIES = (1.0, 3.0, 10.0)
"""Candidates for the head's, as multiples of its own: each arm chooses at each layer."""

REPEATED = "repeated"


def spec_of(domain: str, quick: bool = False) -> tuple[GeldaSpec, EvaluateSpec]:
    """Return a study's settings: rows of one domain are drawn, and weigh as much as real ones.

    Each class and each domain has rows, so that γ and κ, both one-hot, compose. Means of ten rows are
    shrunk little, as validation has it: a domain is not the sum of a class and a shift.
    """
    one_hot = OneHotVectors(source="one_hot")
    spec = GeldaSpec(
        dataset=f"ds_{NO_ID}",
        preparation=(PreparationSpec(transform="sqrt", components=COMPONENTS, normalise=True),),
        classes=one_hot,
        subdomains=one_hot,
        latents=LatentSpec(shrinkage=0.1),
        denoiser=DenoiserSpec(width=256, blocks=2),
        objective=ObjectiveSpec(steps=QUICK_STEPS if quick else STEPS),
        plan=PlanSpec(cells=(CellCount(subdomain=domain, rows=ADDED),)),
        classifier=HeadSpec(loss="logit_adjusted", synthetic_weight=1.0),
    )
    return spec, EvaluateSpec(seeds=1, controls=())


def drawn(study: Study) -> Added:
    """Return what the study's generator draws at its one layer, with the classes of its rows."""
    z, cells = study.drawn(Choice(0))
    return z, cells // study.level(0).data.parts_a_class


def repeated(known: EvaluationData, scarce: int) -> Added:
    """Return as many rows as the others add: the few real ones of the domain, again and again."""
    train = known.train
    assert train.subdomain is not None
    labels = np.repeat(np.arange(len(known.classes)), ADDED)
    rows = [
        np.resize(np.flatnonzero((train.y == label) & (train.subdomain == scarce)), ADDED)
        for label in range(len(known.classes))
    ]
    return train.x[np.concatenate(rows)], labels

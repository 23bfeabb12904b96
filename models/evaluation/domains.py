"""Accuracy by domain, and within and outside the domains that the training set knows a class in.

A test image is in-domain where its class has at least half of a fair share of its training images in the
image's domain, out-of-domain elsewhere. A fair share is the same in every domain. Half of it, and not all,
because an even draw misses the whole in every second domain by chance.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evaluation.arms import REAL, Method
from models.evaluation.data import EvaluationData
from models.evaluation.interval import Resampled
from models.evaluation.metrics import accuracy
from models.evaluation.points import in_points, percent
from models.evaluation.result import Arm, Domains, Part, Result

OF_A_FAIR_SHARE = 0.5


def by_domain(data: EvaluationData, arms: Mapping[str, Arm], method: Method) -> Domains | None:
    """Part the test rows by their domains; None where there are fewer than two."""
    train, test = data.train.subdomain, data.test.subdomain
    if train is None or test is None or len(_used(data)) < 2:
        return None
    known = familiar(data)
    counts = data.cell_counts.reshape(known.shape)
    inside = known[data.test.y, test]

    def part(name: str, of: npt.NDArray[np.bool_], train_rows: int) -> Part:
        rows = np.flatnonzero(of)
        if not len(rows):
            return Part(name, rows, train_rows)
        own, real = (
            arms[one].predictions[:, rows] == data.test.y[rows] for one in (method.name, REAL)
        )
        groups = None if data.test.group is None else data.test.group[rows]
        resampled = Resampled.of(own, real, data.test.y[rows], groups=groups)
        return Part(name, rows, train_rows, resampled.interval("accuracy"))

    return Domains(
        inside=part("in-domain", inside, int(counts[known].sum())),
        outside=part("out-of-domain", ~inside, int(counts[~known].sum())),
        each=tuple(
            part(data.subdomains[domain], test == domain, int(counts[:, domain].sum()))
            for domain in np.unique(test)
        ),
    )


def familiar(data: EvaluationData) -> npt.NDArray[np.bool_]:
    """Say of each class and domain, K × S, whether test rows of both are in-domain."""
    counts = data.cell_counts.reshape(-1, data.parts_a_class)
    fair = counts.sum(axis=1, keepdims=True) / max(1, len(_used(data)))
    return np.asarray((counts > 0) & (counts >= OF_A_FAIR_SHARE * fair))


def _used(data: EvaluationData) -> npt.NDArray[np.int64]:
    """Return the domains that have a training or a test row: a dataset may name others."""
    rows = (data.train.subdomain, data.test.subdomain)
    return np.unique(np.concatenate([one for one in rows if one is not None])).astype(np.int64)


def as_json(result: Result) -> dict[str, Any] | None:
    """Return `per_subdomain` of the report: each arm's accuracy in each part; None without domains."""
    found, row = result.domains, result.method.row
    if found is None:
        return None
    domains = len(_used(result.data))
    return {
        "rule": (
            f"A test {row} is in-domain where its class has at least half of a fair share of its training "
            f"{row}s in the same domain: {50 / domains:.3g} % of them, as there are {domains} domains."
        ),
        "unit": "accuracy in percent, mean over seeds",
        "in_domain": _part(result, found.inside),
        "out_of_domain": _part(result, found.outside),
        "subdomains": [{"subdomain": one.name} | _part(result, one) for one in found.each],
    }


def _part(result: Result, part: Part) -> dict[str, Any]:
    values = {
        name: percent(accuracy(result.correct(name)[:, part.rows])) if len(part.rows) else None
        for name in result.arms
    }
    return {
        "train_rows": part.train_rows,
        "test_rows": len(part.rows),
        "values": values,
        "over_real": None if part.over_real is None else in_points(part.over_real),
    }

"""What a dataset holds, in the numbers that `GET /v1/datasets/{id}/stats` shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.embeddings.digests import Digests
from models.embeddings.parts import SPLITS, TRAIN, UNASSIGNED

Arrays = Mapping[str, npt.NDArray[Any]]

MAX_CELLS = 100_000
"""Classes times subdomains of a dataset whose cells are counted: a bound on the manifest's size."""


def statistics(
    digests: Digests, arrays: Arrays, names: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return counts by class, split and subdomain, and how rows repeat and groups leak.

    Args:
        digests: of each embedding.
        arrays: ``y`` (-1 for no label), ``split`` and, where there are such columns, ``subdomain``,
            ``group``: n each.
        names: ``classes``, ``subdomain``, ``group`` by number.
    """
    y, split = arrays["y"], arrays["split"]
    classes = names["classes"]
    splits = {name: int((split == code).sum()) for name, code in SPLITS.items()}
    by_split = {
        name: _counts(y[split == SPLITS[name]], classes) for name, rows in splits.items() if rows
    }
    repeats = digests.duplicates(y, split)
    return {
        "splits": splits,
        "class_counts": _counts(y, classes),
        "class_counts_by_split": by_split,
        "unlabelled": int((y < 0).sum()),
        **_subdomains(arrays, names),
        "groups": len(names["group"]) if "group" in arrays else None,
        "groups_across_splits": _across(arrays["group"], split) if "group" in arrays else None,
        "duplicate_rows": repeats.rows,
        "duplicates_across_splits": repeats.across_splits,
        "duplicates_with_other_label": repeats.other_label,
        # One bad row refuses a dataset, by number: a dataset that exists has rejected none.
        "rejected_rows": [],
    }


def _counts(codes: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    """Return rows by name; those of number -1 have none."""
    counts = np.bincount(codes[codes >= 0], minlength=len(names)).tolist()
    return dict(zip(names, counts, strict=True))


def _subdomains(arrays: Arrays, names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return rows by subdomain: all, those without a label, and labelled ones by cell."""
    if "subdomain" not in arrays:
        return {"subdomains": None, "unlabelled_by_subdomain": None, "cell_counts": None}
    y, subdomain = arrays["y"], arrays["subdomain"]
    return {
        "subdomains": _counts(subdomain, names["subdomain"]),
        "unlabelled_by_subdomain": _counts(subdomain[y < 0], names["subdomain"]),
        "cell_counts": _cell_counts(arrays, names["classes"], names["subdomain"]),
    }


def _cell_counts(
    arrays: Arrays, classes: Sequence[str], subdomains: Sequence[str]
) -> dict[str, dict[str, int]] | None:
    """Return labelled rows that may be trained on, by class and subdomain; cells of none left out.

    None beyond `MAX_CELLS` cells.
    """
    if len(classes) * len(subdomains) > MAX_CELLS:
        return None
    y, split = arrays["y"], arrays["split"]
    rows = (y >= 0) & ((split == TRAIN) | (split == UNASSIGNED))
    cells = y[rows] * len(subdomains) + arrays["subdomain"][rows]
    table = np.bincount(cells, minlength=len(classes) * len(subdomains))
    return {
        name: {subdomains[s]: int(row[s]) for s in np.flatnonzero(row).tolist()}
        for name, row in zip(classes, table.reshape(len(classes), -1), strict=True)
    }


def _across(group: npt.NDArray[np.int64], split: npt.NDArray[np.int8]) -> int:
    """Return how many groups have rows in more than one split: a leak that splitting again cures."""
    pairs = np.unique(np.stack([group, split.astype(np.int64)]), axis=1)
    return int((np.bincount(pairs[0]) > 1).sum())

"""What a dataset holds, in the numbers that `GET /v1/datasets/{id}/stats` shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.embeddings.digests import Digests
from models.embeddings.parts import SPLITS

Arrays = Mapping[str, npt.NDArray[Any]]


def statistics(
    digests: Digests, arrays: Arrays, names: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return counts by class, split and subdomain, and how rows repeat and groups leak.

    Args:
        digests: of each embedding.
        arrays: ``y``, ``split`` and, where there are such columns, ``subdomain``, ``group``: n each.
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
        "subdomains": _counts(arrays["subdomain"], names["subdomain"])
        if "subdomain" in arrays
        else None,
        "groups": len(names["group"]) if "group" in arrays else None,
        "groups_across_splits": _across(arrays["group"], split) if "group" in arrays else None,
        "duplicate_rows": repeats.rows,
        "duplicates_across_splits": repeats.across_splits,
        "duplicates_with_other_label": repeats.other_label,
        # One bad row refuses a dataset, by number: a dataset that exists has rejected none.
        "rejected_rows": [],
    }


def _counts(codes: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(codes, minlength=len(names)).tolist()
    return dict(zip(names, counts, strict=True))


def _across(group: npt.NDArray[np.int64], split: npt.NDArray[np.int8]) -> int:
    """Return how many groups have rows in more than one split: a leak that splitting again cures."""
    pairs = np.unique(np.stack([group, split.astype(np.int64)]), axis=1)
    return int((np.bincount(pairs[0]) > 1).sum())

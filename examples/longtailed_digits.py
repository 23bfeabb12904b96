"""Scikit-learn's handwritten digits (1,797 real images, shipped with the package) as a long tail."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LARGEST, SMALLEST = 95, 5
VAL_PER_CLASS = 20


def tail_sizes(classes: int, largest: int = LARGEST, smallest: int = SMALLEST) -> list[int]:
    """Return training rows a class, falling exponentially from ``largest`` to ``smallest``."""
    ratio = smallest / largest
    return [round(largest * ratio ** (k / (classes - 1))) for k in range(classes)]


def write(path: Path, seed: int = 0) -> list[int]:
    """Write npz with x, y, x_val, y_val, x_test, y_test, classes; return training rows a class.

    Rows are 64 pixel intensities from 0 to 16, float32: an embedding of 64 dimensions as far as
    the service is concerned. 20 others a class are for validation, all the rest for the test.
    """
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    sizes = tail_sizes(len(NAMES))
    parts: dict[str, list[np.ndarray]] = {"train": [], "val": [], "test": []}
    for label, size in enumerate(sizes):
        rows = rng.permutation(np.flatnonzero(y == label))
        parts["train"].append(rows[:size])
        parts["val"].append(rows[size : size + VAL_PER_CLASS])
        parts["test"].append(rows[size + VAL_PER_CLASS :])
    arrays: dict[str, np.ndarray] = {"classes": np.array(NAMES)}
    for split, chosen in parts.items():
        rows = np.concatenate(chosen)
        suffix = "" if split == "train" else f"_{split}"
        arrays[f"x{suffix}"] = x[rows].astype(np.float32)
        arrays[f"y{suffix}"] = y[rows].astype(np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return sizes

"""What is done to test images, to see what a classifier that reads clean ones knows of them."""

from collections.abc import Callable, Mapping

import numpy as np

from models.images.classifier import Images


def _noise(x: Images) -> Images:
    drawn = np.random.default_rng(0).normal(0, 20, x.shape)
    return np.asarray(np.clip(x + drawn, 0, 255), dtype=np.uint8)


def _blur(x: Images) -> Images:
    wide = np.pad(x.astype(np.float32), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    side = x.shape[1]
    moved = [wide[:, i : i + side, j : j + side] for i in range(5) for j in range(5)]
    return np.asarray((np.sum(moved, axis=0) / 25).round(), dtype=np.uint8)


def _contrast(x: Images) -> Images:
    middle = x.mean(axis=(1, 2, 3), keepdims=True)
    return np.asarray(np.clip(middle + 0.35 * (x - middle), 0, 255).round(), dtype=np.uint8)


CORRUPTIONS: Mapping[str, Callable[[Images], Images]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
}
"""Gaussian noise of 20 grey levels, a 5 × 5 mean, 35 % of the contrast."""

"""What ALIA's tests work with: tiny random models in one folder, and a zip of pictures in three parts."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import CLIPModel

from tests.models.alia import tiny_diffusion, tiny_language
from tests.models.encoders import tiny
from tests.workers.pictures import COLOURS

SIDE = 32
COLUMNS = {"label": "label", "split": "split", "subdomain": "domain"}
PREFIX = "a {}"
RAIN, NIGHT, GRASS = (f"{PREFIX} {where}" for where in ("in rain", "by night", "on grass"))
"""Descriptions whose prompts the tiny image-text model reads to their end: 14 letters."""

PARTS: dict[str, Mapping[str, int]] = {
    "train": {"ant": 10, "bee": 7, "cat": 5},
    "val": dict.fromkeys(("ant", "bee", "cat"), 4),
    "test": dict.fromkeys(("ant", "bee", "cat"), 6),
}
EDITOR: dict[str, Any] = {
    "model": "sd", "size": SIDE, "steps": 4, "batch_size": 4, "precision": "float32",
}  # fmt: skip
TINY: dict[str, Any] = {
    "kind": "alia",
    "subject": "pet",
    "descriptions": [RAIN, NIGHT, GRASS],
    "summarise": {"prefix": PREFIX, "model": None},
    "edit": EDITOR,
    "filters": {
        "semantic": {"switch": "off", "model": "clip"},
        "confidence": {"switch": "off", "folds": 2, "steps": 3},
    },
    "plan": {"per_class": 4},
    "attempts": 1,
    "augmentations": ["none"],
    "classifier": {
        "network": "resnet-8", "width": 4, "steps": 4, "batch_size": 8, "checkpoint_steps": 2,
    },
}  # fmt: skip
"""The spec of a job of a second or two, to which a test adds `dataset`."""


def models(folder: Path) -> Path:
    """Write a captioner, a language model, an image-text model and an editor; return their folder."""
    folder.mkdir()
    _sharp_eyed(tiny.make("clip", folder / "clip"))
    tiny_diffusion.stable(folder / "sd")
    tiny_language.blip(folder / "blip")
    tiny_language.qwen3(folder / "qwen", positions=4096)
    return folder


def _sharp_eyed(folder: Path) -> None:
    """Make a random CLIP tell images from each other: those of a class look different to it."""
    model = CLIPModel.from_pretrained(folder)
    eye = model.vision_model.embeddings
    eye.patch_embedding.weight.data.mul_(10)
    eye.class_embedding.data.zero_()
    model.save_pretrained(folder)


def zoo(parts: Mapping[str, Mapping[str, int]] = PARTS, seed: int = 0) -> bytes:
    """Return a zip of so many pictures of each class in each part, with a table of what they are.

    By day they are bright, at night dark; in `train` ants live by day, bees at night, cats in both.
    """
    file, lines = io.BytesIO(), ["file_name,label,split,domain"]
    with zipfile.ZipFile(file, "w") as entries:
        for split, sizes in parts.items():
            for label, (name, count) in enumerate(sizes.items()):
                for number in range(count):
                    night = (label, number % 2)[split != "train" or label == 2] % 2 == 1
                    path = f"{split}/{name}{number:03}.png"
                    entries.writestr(path, _picture(label, [seed, len(split), number], night))
                    lines.append(f"{path},{name},{split},{('day', 'night')[night]}")
        entries.writestr("metadata.csv", "\n".join(lines))
    return file.getvalue()


def _picture(label: int, seed: list[int], night: bool) -> bytes:
    rng = np.random.default_rng([label, *seed])
    pixels = np.array(COLOURS[label]) + rng.normal(0, 30, (SIDE, SIDE, 3))
    pixels[:, rng.integers(SIDE)] = 240
    file = io.BytesIO()
    shade = 0.4 if night else 1.0
    Image.fromarray((np.clip(pixels, 0, 255) * shade).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def unpacked(archive: bytes, folder: Path) -> list[dict[str, Any]]:
    """Unpack a zip of images into a folder; return the lines of its metadata."""
    with zipfile.ZipFile(io.BytesIO(archive)) as entries:
        entries.extractall(folder)
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]

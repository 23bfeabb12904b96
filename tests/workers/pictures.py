"""Small pictures in a zip of class folders, for jobs on images."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np
from PIL import Image

COLOURS = ((200, 60, 60), (60, 200, 60), (60, 60, 200), (180, 180, 60))


def png(label: int, number: int, side: int = 16) -> bytes:
    """Return a picture of a class's colour, with a bright bar of its own and noise."""
    rng = np.random.default_rng([label, number])
    pixels = np.array(COLOURS[label % 4]) + rng.normal(0, 30, (side, side, 3))
    pixels[:, number % side] = 240
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def archive(sizes: Mapping[str, int], side: int = 16, **more: bytes) -> bytes:
    """Return a zip with so many pictures of each class, in a folder each; `more` are further entries."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as entries:
        for label, (name, count) in enumerate(sizes.items()):
            for number in range(count):
                entries.writestr(f"{name}/{number:03}.png", png(label, number, side))
        for name, content in more.items():
            entries.writestr(name, content)
    return file.getvalue()

"""Sizes that a model can make, and which of them an image is edited at."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.errors import InputProblem

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]
"""Height and width in pixels."""

LONGEST = 4
"""How many times its shorter side the longer one may be: a strip would need a batch's memory."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of one model's images.

    Attributes:
        side: shorter side of an edit, in pixels.
        multiple: what both sides are multiples of: the VAE's factor times that of the denoiser.
    """

    side: int
    multiple: int

    def of(self, image: Pixels | None, source: object) -> Size:
        """Return the height and width at which an image is edited; square where there is none.

        Raises:
            InputProblem: the image is a strip; it is named as `source`.
        """
        if image is None:
            return self._whole(self.side), self._whole(self.side)
        height, width = image.shape[:2]
        shorter, longer = sorted((height, width))
        if longer > LONGEST * shorter:
            raise InputProblem(
                "image_too_narrow",
                f"The image of row {source} is {width} × {height} pixels; the longer side may be "
                f"{LONGEST} times the shorter one to be edited.",
            )
        scale = self.side / shorter
        return self._whole(height * scale), self._whole(width * scale)

    def _whole(self, pixels: float) -> int:
        return max(1, round(pixels / self.multiple)) * self.multiple


def resized(image: Pixels, size: Size) -> Pixels:
    """Return the image, (h, w, 3), at another height and width; the same where it has them."""
    if image.shape[:2] == size:
        return image
    height, width = size
    smooth = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(smooth, np.uint8)

"""Pictures for the page of a report, carried by the page itself."""

import base64
import struct
from dataclasses import dataclass

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

PAGE_WIDTH = 840
"""Pixels that a figure has for its content; the page shrinks what is wider."""

ENLARGED = 3
"""At most so many screen pixels a side for one of a small picture."""


@dataclass(frozen=True)
class Picture:
    """A picture under a heading of its own.

    Attributes:
        title: the heading, and what a screen reader says.
        caption: below it.
        png: the file.

    Raises:
        ValueError: ``png`` is no PNG file.
    """

    title: str
    caption: str
    png: bytes

    def __post_init__(self) -> None:
        if not self.png.startswith(_SIGNATURE) or len(self.png) < 24:
            raise ValueError(f"the picture “{self.title}” is no PNG file")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        # The first chunk, IHDR, begins with both (PNG specification, 11.2.1).
        width, height = struct.unpack(">II", self.png[16:24])
        return width, height

    @property
    def scale(self) -> int:
        """How many times a small picture is enlarged: images of a few pixels are not seen otherwise."""
        return max(1, min(ENLARGED, PAGE_WIDTH // max(1, self.size[0])))

    @property
    def uri(self) -> str:
        """The file as a `data:` address."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"

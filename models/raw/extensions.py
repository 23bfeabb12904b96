"""What a file's name says that it is: a claim, held against its bytes."""

from pathlib import PurePosixPath

from models.raw import audio, image
from models.raw.problem import ItemProblem
from models.raw.spec import Modality

MEDIA = {".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif", ".m4a", ".aac", ".wma", ".aiff", ".aif"} | {
    *image.FORMATS, *audio.FORMATS
}  # fmt: skip
"""Extensions of images and clips, also of those that are not taken: such a file is no read-me."""

_CLAIMS = {"image": image.FORMATS, "audio": audio.FORMATS}


def extension(name: str) -> str:
    """Return a name's extension in small letters, with its dot; '' for none."""
    return PurePosixPath(name).suffix.lower()


def check_extension(name: str, modality: Modality, found: str) -> None:
    """Refuse an item whose name says another format than its bytes.

    Raises:
        ItemProblem: ``extension_mismatch``.
    """
    claimed = _CLAIMS[modality].get(extension(name))
    if claimed is not None and claimed != found:
        raise ItemProblem("extension_mismatch", f"is called {claimed}, but its bytes are {found}")

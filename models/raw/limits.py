"""How much raw data may claim before an item, or all of it, is refused."""

from dataclasses import dataclass

from models.embeddings.limits import GiB, KiB, Limits, MiB

__all__ = ["RAW_LIMITS", "GiB", "KiB", "MiB", "RawLimits"]


@dataclass(frozen=True, slots=True)
class RawLimits(Limits):
    """Bounds on archives, tables and items; those of embeddings, where raw data has the same.

    Attributes:
        max_array_bytes: bytes of all items of one dataset, and of one archive unpacked.
        max_item_bytes: of one image, clip or text as it is stored.
        max_pixels: width times height of one image.
        max_seconds: length of one clip.
        min_rate: lowest sample rate, Hz.
        max_rate: highest sample rate, Hz.
        max_channels: of one clip.
        max_characters: of one text, and of one field of a CSV or JSONL file.
        max_metadata: bytes of one metadata file within an archive.
        max_sidecar: bytes of one `.cls`, `.txt` or `.json` of a WebDataset sample.
    """

    max_rows: int = 1_000_000
    max_entries: int = 500_000
    max_directory: int = 128 * MiB
    max_item_bytes: int = 256 * MiB
    max_pixels: int = 64_000_000
    max_seconds: float = 600.0
    min_rate: int = 1_000
    max_rate: int = 384_000
    max_channels: int = 8
    max_characters: int = 100_000
    max_metadata: int = 128 * MiB
    max_sidecar: int = MiB


RAW_LIMITS = RawLimits()

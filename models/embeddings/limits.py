"""How much an untrusted file may claim before it is refused."""

from dataclasses import dataclass

KiB = 1 << 10
MiB = 1 << 20
GiB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on decoded data. What a file declares is held against them before memory is taken.

    Attributes:
        max_array_bytes: largest decoded array, and the largest sum of all in one file.
        max_rows: rows of one dataset, over all its files.
        max_dim: values of one embedding.
        max_names: distinct classes, and distinct subdomains.
        max_entries: entries of one archive, tensors of one safetensors file.
        max_directory: bytes of one zip archive's directory.
        max_ratio: decoded bytes for each stored one; beyond ``ratio_floor`` decoded bytes only, as
            a sorted column of labels is small whatever its ratio.
        ratio_floor: decoded bytes that are taken whatever their ratio.
        max_text: characters of a class name, subdomain, group or id.
        block_bytes: decoded bytes that are held at a time while embeddings stream through.
    """

    max_array_bytes: int = 64 * GiB
    max_rows: int = 20_000_000
    max_dim: int = 65_536
    max_names: int = 50_000
    max_entries: int = 1_000
    max_directory: int = 4 * MiB
    max_ratio: int = 200
    ratio_floor: int = 64 * MiB
    max_text: int = 500
    block_bytes: int = 8 * MiB

    def is_bomb(self, decoded: int, stored: int) -> bool:
        """Tell whether ``stored`` bytes that decode to ``decoded`` cannot be honest data."""
        return decoded > self.ratio_floor and decoded > self.max_ratio * max(stored, 1)

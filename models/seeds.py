"""Seeds that depend on what they are for, never on who draws or when."""

import hashlib


def item_seed(seed: int, cell: int, counter: int) -> int:
    """Return the uint64 from which alone the noise of one item is drawn.

    It depends on the job's seed, the item's cell and its number within the cell, never on the shard
    or batch it is made in.
    """
    return derived_seed("item", seed, cell, counter)


def derived_seed(purpose: str, *numbers: int) -> int:
    """Return a uint64 that is as good as independent for every purpose and every tuple of numbers."""
    text = ":".join([purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

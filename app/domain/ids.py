"""Identifiers: a noun's prefix, then time, then chance, so that ids sort by age."""

import secrets
import time

_RANDOM_BYTES = 10


def new_id(prefix: str) -> str:
    """Return e.g. ``job_0192f3c5a1b2…``: 12 hex digits of Unix milliseconds, 20 of randomness."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(_RANDOM_BYTES)}"

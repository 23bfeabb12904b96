"""How many processor cores this process may use."""

import os


def cores() -> int:
    """Return the cores this process may run on; only Linux tells where that is not all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""The lease clock: the database's own, or the host's since its boot.

A lease is decided by one clock alone. PostgreSQL has one. SQLite has none, but there every process
is on one host, whose seconds since boot no one can set; a lease of another boot has expired.
"""

import subprocess
import sys
import time
from functools import cache
from pathlib import Path


class HostClock:
    """Seconds since this host's boot, sleep included, and which boot that was."""

    def seconds(self) -> float:
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()

    def boot_id(self) -> str:
        return _boot_id()


@cache
def _boot_id() -> str:
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - a constant
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()

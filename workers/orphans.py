"""No process outlives the one that started it, however that one died."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; exit now if `parent` is gone already.

    The signal follows the parent's *thread* that started us, so that one must be a lasting one.
    Elsewhere than on Linux the closed pipe ends the process, once it looks at it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before the line above


def prefer_as_victim() -> None:
    """Ask the kernel to take this process, not its parent, when the host runs out of memory."""
    if sys.platform == "linux":
        try:
            with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - a kernel file
                score.write("500")
        except OSError:
            pass  # a sandbox without it: only the order of victims changes

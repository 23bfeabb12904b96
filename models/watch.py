"""What a training tells its caller, and how the caller stops it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a run tells its caller, and how the caller stops it.

    Attributes:
        on_progress: called with step, steps and the mean loss since the last call.
        on_checkpoint: called with a file and its step; the file may be moved away.
        should_stop: asked before every step.
        scratch: folder for checkpoint files.
    """

    on_progress: Callable[[int, int, float], None]
    on_checkpoint: Callable[[Path, int], None] | None
    should_stop: Callable[[], bool]
    scratch: Path

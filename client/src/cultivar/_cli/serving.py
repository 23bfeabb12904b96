"""`cultivar serve`: this process becomes the service."""

import os
import sys
from collections.abc import Sequence

from cultivar._local import serve_command


def serve(words: Sequence[str]) -> None:
    """Replace this process by the embedded stack, so that signals reach it as they are."""
    command = serve_command(*words)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)

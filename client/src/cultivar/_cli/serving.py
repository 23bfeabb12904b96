"""`cultivar serve` and `cultivar models`: this process becomes the server's own command."""

import os
import sys
from collections.abc import Sequence

from cultivar._local import models_command, serve_command


def serve(words: Sequence[str]) -> None:
    """Replace this process by the embedded stack, so that signals reach it as they are."""
    _become(serve_command(*words))


def models(words: Sequence[str]) -> None:
    """Replace this process by the list of foundation models on this machine, or a download."""
    _become(models_command(*words))


def _become(command: list[str]) -> None:
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)

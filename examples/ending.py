"""How an example ends: in a sentence, and with an exit status."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from cultivar import CultivarError


def ended(run: Callable[[Console], None], out: Path, name: str) -> int:
    """Run an example and return its exit status; what was made so far is in ``out``."""
    console = Console()
    try:
        run(console)
    except CultivarError as error:
        console.print(f"[red]{name} did not end well:[/red] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("Stopped. What was made so far is in", out)
        return 130
    return 0

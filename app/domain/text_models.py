"""Text encoders that a spec may name, and their licences, as far as the service knows them."""

ROLE = "text encoder of names and descriptions"
PACKAGED = "all-MiniLM-L6-v2"


def licence(model: str) -> str:
    """Return the licence of a text encoder; an operator's own folder has its own."""
    return "Apache-2.0" if model == PACKAGED else "as in its folder"

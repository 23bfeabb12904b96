"""What the folder of a sentence encoder says about its pooling (`sentence-transformers`' layout)."""

import json
from pathlib import Path

from models.encoders.family import Resolved


def sentence_pooling(folder: Path) -> Resolved | None:
    """Return the pooling that `1_Pooling/config.json` states; None where there is no such file."""
    try:
        stated = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if stated.get("pooling_mode_cls_token") or stated.get("pooling_mode") == "cls":
        return "cls"
    return "mean_unit"

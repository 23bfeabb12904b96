"""Pictures of an ALIA report: edits beside their sources, and what each filter dropped."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from models.evaluation.pictures import Picture
from models.images.grid import contact_sheet
from workers.pipelines.alia_items import Items
from workers.pipelines.alia_job import AliaJob
from workers.pipelines.alia_select import Selection

PAIRS_A_DESCRIPTION = 5
DESCRIPTIONS_SHOWN = 9
DROPPED_SHOWN = 5

_REASONS = {
    "black": "black",
    "semantic": "semantic",
    "unchanged": "unchanged",
    "mislabelled": "mislabelled",
    "duplicate": "duplicate",
    "rejected": "rejected",
}

Image = npt.NDArray[np.uint8]


def pictures(
    job: AliaJob, items: Items, chosen: Selection, tell: Callable[[], None]
) -> dict[str, Picture]:
    """Return the report's pictures by file name."""
    found = {"edits.png": _edits(job, items, chosen)}
    tell()
    dropped = _dropped(job, items, chosen)
    tell()
    return found | ({} if dropped is None else {"dropped.png": dropped})


def _edits(job: AliaJob, items: Items, chosen: Selection) -> Picture:
    groups = [
        (text, chosen.kept[items.description[chosen.kept] == number])
        for number, text in enumerate(job.descriptions)
    ]
    shown = [(text, rows) for text, rows in groups if len(rows)][:DESCRIPTIONS_SHOWN]
    return Picture(
        "Edits beside their sources",
        "Each pair: a training image, and what became of it. One description a row.",
        _sheet(job, items, shown, PAIRS_A_DESCRIPTION),
    )


def _dropped(job: AliaJob, items: Items, chosen: Selection) -> Picture | None:
    """Return what filters and people have dropped; None where nothing was."""
    groups = [
        (name, np.flatnonzero(chosen.decisions == decision)) for decision, name in _REASONS.items()
    ]
    shown = [(f"{name} ({len(rows)})", rows) for name, rows in groups if len(rows)]
    if not shown:
        return None
    return Picture(
        "What was dropped, and why",
        "Each pair: a training image, and an edit of it that is not used. One reason a row, with how many "
        "there are.",
        _sheet(job, items, shown, DROPPED_SHOWN),
    )


def _sheet(
    job: AliaJob,
    items: Items,
    groups: Sequence[tuple[str, npt.NDArray[np.int64]]],
    pairs: int,
) -> bytes:
    places: list[Image | None] = []
    for _, rows in groups:
        # Evenly among them, so that several classes are seen.
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, pairs).round().astype(int))]
        for number in range(pairs):
            if number:
                places.append(None)
            there = number < len(chosen)
            places.append(job.train.x[items.source[chosen[number]]] if there else None)
            places.append(items.small[chosen[number]] if there else None)
    names = [_short(name, job) for name, _ in groups]
    return contact_sheet(places, 3 * pairs - 1, names=names, least=48)


def _short(text: str, job: AliaJob) -> str:
    """Return a description without what all of them have in common."""
    prefix = job.spec.summarise.prefix.strip()
    return text.removeprefix(prefix).strip() or text

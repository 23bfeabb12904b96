"""Which edits are used in the end: one for each slot, less those that a person rejects."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.reviews import Picture, ReviewItem
from app.domain.tasks import Effects
from models.alia.filters import large_share
from models.errors import InputProblem
from workers.pipelines.alia_arms import filters_of, makers_of
from workers.pipelines.alia_items import decided, first_kept, items_of, named_scores, png
from workers.pipelines.alia_job import MAKERS, AliaJob, Originals
from workers.pipelines.image_parts import ids_of
from workers.task import TaskRun


def select(task: TaskRun) -> Effects:
    """Take the first edit of each slot that the chosen filters keep; wait for a person if that is wanted.

    Raises:
        InputProblem: ``no_edit_left``: the filters keep none.
    """
    job = AliaJob(task)
    settings = task.claim.earlier["choose"][0]["settings"]
    result: dict[str, Any] = {}
    used: dict[str, npt.NDArray[np.int64]] = {}
    for maker in makers_of(job.spec, job.evaluate):
        items, filters = items_of(job, maker), filters_of(settings[MAKERS[maker]])
        decisions = decided(job, items, filters)
        kept = used[maker] = first_kept(items, decisions)
        if maker == "edit":  # a control with nothing left is reported as it is
            _refuse_nothing(decisions, kept)
        path = task.scratch / f"{maker}.npz"
        np.savez(path, kept=kept, decisions=decisions)
        wanted = int(task.claim.earlier["plan"][0]["wanted"])
        result[maker] = {
            "selection": task.keep(path).named,
            "kept": len(kept),
            "unfilled": wanted - len(kept),
            "made": len(items),
            "dropped": [asdict(one) for one in large_share(decisions, filters)],
        }
    return Effects(
        result=result,
        # What could not be made is a failure of its item: the job ends as partly successful.
        counts={"failed": result["edit"]["unfilled"]},
        pause="edits" if job.spec.review is not None else None,
        review=tuple(_to_review(job, used["edit"])) if job.spec.review is not None else (),
    )


def _refuse_nothing(decisions: npt.NDArray[np.str_], kept: npt.NDArray[np.int64]) -> None:
    if len(kept):
        return
    names, counts = np.unique(decisions, return_counts=True)
    dropped = ", ".join(f"{n} {name}" for name, n in zip(names, counts, strict=True))
    raise InputProblem(
        "no_edit_left",
        f"Of {len(decisions)} edits none is left: {dropped}. Look at the editor's strength, or switch a filter "
        "off.",
        "filters",
    )


@dataclass(frozen=True)
class Selection:
    """What is used of a maker's images.

    Attributes:
        kept: numbers of the items, in order of slots.
        decisions: of every item: as `filters.decide` names them, `unused` where an earlier attempt is
            kept, or `rejected` by a person.
        unfilled: slots for which the filters kept nothing.
    """

    kept: npt.NDArray[np.int64]
    decisions: npt.NDArray[np.str_]
    unfilled: int


def selection_of(job: AliaJob, maker: str) -> Selection:
    """Return what `select` has taken, less what a person has rejected since.

    Raises:
        InputProblem: ``no_edit_left``: all was rejected.
    """
    result = job.task.claim.earlier["select"][0][maker]
    with np.load(job.task.fetch(result["selection"]["sha256"]), allow_pickle=False) as arrays:
        kept, decisions = arrays["kept"], arrays["decisions"].astype("<U16")
    unused = np.setdiff1d(np.flatnonzero(decisions == "kept"), kept)
    decisions[unused] = "unused"
    if maker == "edit" and job.rejected:
        items = items_of(job, maker)
        out = np.array([items.id_of(row) in job.rejected for row in kept.tolist()], bool)
        decisions[kept[out]] = "rejected"
        kept = kept[~out]
        if not len(kept):
            raise InputProblem("no_edit_left", "Every edit was rejected; none is left.", "review")
    return Selection(kept, decisions, int(result["unfilled"]))


def selected(job: AliaJob, maker: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return what is used of a maker's images, as classifiers read them, and their classes."""
    items, chosen = items_of(job, maker), selection_of(job, maker)
    return items.small[chosen.kept], items.label[chosen.kept]


def _to_review(job: AliaJob, rows: npt.NDArray[np.int64]) -> Iterator[ReviewItem]:
    """Yield what a person is to look at: each edit beside its source."""
    task, items = job.task, items_of(job, "edit")
    if job.spec.review == "sample":
        rows = sample_of(items.label[rows], items.description[rows], rows, job.spec.review_items)
    ids = ids_of(
        task.fetch(task.claim.inputs["dataset"]["columns"]["id"]["sha256"]), job.train.rows
    )
    originals = Originals(task)
    path = task.scratch / "picture.png"
    for done, (row, data) in enumerate(zip(rows.tolist(), items.pngs(rows.tolist()), strict=True)):
        source = int(items.source[row])
        path.write_bytes(png(originals[int(job.train.rows[source])]))
        before = task.keep(path)
        path.write_bytes(data)
        after = task.keep(path)
        yield ReviewItem(
            item_id=items.id_of(row),
            label=job.classes[int(items.label[row])],
            description=job.descriptions[int(items.description[row])],
            source=ids[source],
            before=Picture(before.sha256, before.bytes),
            after=Picture(after.sha256, after.bytes),
            media_type="image/png",
            scores=named_scores(items, row),
            decision="kept",
        )
        task.progress(done + 1, len(rows))
        task.stop_here()


def sample_of(
    label: npt.NDArray[np.int64],
    description: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    most: int,
) -> npt.NDArray[np.int64]:
    """Return at most so many of the rows, evenly over classes and descriptions, in their order."""
    place = np.zeros(len(rows), np.int64)
    for cell in np.unique(np.stack([label, description]), axis=1).T:
        mine = (label == cell[0]) & (description == cell[1])
        place[mine] = np.arange(mine.sum())
    return np.sort(rows[np.argsort(place, kind="stable")[:most]])

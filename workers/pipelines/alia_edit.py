"""Edits: a shard a task, with the scores of each; and again of other sources what a filter dropped."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.special import softmax

from app.domain.tasks import Effects
from models.alia import duplicates, semantic
from models.alia.editing.engine import Edited, Order
from models.errors import Interrupted
from models.images.rows import square
from models.seeds import derived_seed
from workers.pipelines.alia_arms import filters_of
from workers.pipelines.alia_items import Block, decided, write_block
from workers.pipelines.alia_job import AliaJob, Originals, Picture, fold_numbers
from workers.pipelines.alia_makers import load_maker
from workers.pipelines.alia_plan import Slots, image_text, slots_of
from workers.task import TaskRun

Labels = npt.NDArray[np.int64]


def edit(task: TaskRun) -> Effects:
    """Make the first edit of each slot of a shard."""
    job, payload = AliaJob(task), task.claim.payload
    places = np.arange(payload["start"], payload["stop"])
    studio = Studio(job, payload["maker"])
    block = studio.make(places, np.zeros_like(places), _progress(task, 0, 1))
    return _kept(studio, [block])


def top_up(task: TaskRun) -> Effects:
    """Edit anew, from the next source, each slot whose edit fell out, until it is filled or tries end."""
    job, payload = AliaJob(task), task.claim.payload
    left, studio = np.array(payload["slots"], np.int64), Studio(job, payload["maker"])
    filters = filters_of(task.claim.earlier["choose"][0]["settings"][payload["arm"]])
    blocks, rounds = [], job.spec.attempts - 1
    for attempt in range(1, job.spec.attempts):
        told = _progress(task, attempt - 1, rounds)
        block = studio.make(left, np.full_like(left, attempt), told)
        blocks.append(block)
        left = left[decided(job, block, filters) != "kept"]
        if not len(left):
            break
    return _kept(studio, blocks)


@dataclass(frozen=True)
class Source:
    """What an editor calls an image: editors outlive jobs, and a row's number is another's in each dataset."""

    dataset: str
    row: int

    def __str__(self) -> str:
        return str(self.row)


class Studio:
    """An editor and what looks at its work."""

    def __init__(self, job: AliaJob, maker: str) -> None:
        self.job, self.maker, self.began = job, maker, time.monotonic()
        plan = job.task.claim.earlier["plan"][0]
        self.editor = load_maker(job, maker, plan["wanted"])
        self.editor.batch_size = job.task.batch(plan["batch"])
        self._slots: Slots = slots_of(job.task)
        self._originals = Originals(job.task)
        self._fold = fold_numbers(
            job.train.y, job.spec.filters.confidence.folds, job.task.claim.seed
        )

    def make(self, places: Labels, attempts: Labels, tell: Callable[[float], None]) -> Block:
        """Edit one image for each slot, and score what comes out.

        Args:
            places: numbers of slots, `n`.
            attempts: which of a slot's sources, `n`.
            tell: told how far this is, 0 to 1.
        """
        job, slots = self.job, self._slots
        sources = slots.sources[places, attempts]
        texts = [job.descriptions[number] for number in slots.description[places]]
        rows = job.train.rows[sources]
        seeds = [
            item_seed(job.task.claim.seed, self.maker, int(row), text, int(number), int(attempt))
            for row, text, number, attempt in zip(
                rows, texts, slots.number[places], attempts, strict=True
            )
        ]
        orders = [
            Order(
                image=self._originals[int(row)] if self.maker == "edit" else None,
                source=Source(job.spec.dataset, int(row)),
                class_name=job.classes[label],
                description=text,
                seed=seed,
            )
            for row, label, text, seed in zip(
                rows, slots.label[places].tolist(), texts, seeds, strict=True
            )
        ]
        edited = self.editor.edit(
            orders, lambda done, total: tell(0.9 * done / max(1, total)), job.task.should_stop
        )
        block = self._scored(edited, places, attempts, sources, np.array(seeds, np.uint64))
        tell(1.0)
        return block

    def _scored(
        self,
        edited: Sequence[Edited],
        places: Labels,
        attempts: Labels,
        sources: Labels,
        seeds: npt.NDArray[np.uint64],
    ) -> Block:
        job = self.job
        images = [one.image for one in edited]
        small = (
            np.stack([square(Image.fromarray(image), job.side) for image in images])
            if images
            else None
        )
        if small is None:
            small = np.empty((0, job.side, job.side, 3), np.uint8)
        return Block(
            slot=places,
            attempt=attempts,
            label=self._slots.label[places],
            description=self._slots.description[places],
            source=sources,
            seed=seeds,
            black=np.array([one.problem == "black" for one in edited], bool),
            semantic=self._semantic(images),
            p=self._judged(small, sources),
            distance=self._changed(small, sources),
            small=small,
            images=images,
        )

    def _changed(self, small: Picture, sources: Labels) -> npt.NDArray[np.float64]:
        """Return how far each edit is from its source, `n`; nan where it has none."""
        if self.maker != "edit" or not len(small):
            return np.full(len(small), np.nan)
        return duplicates.distance(
            duplicates.small(list(small)), duplicates.small(list(self.job.train.x[sources]))
        )

    def _semantic(self, images: Sequence[Picture]) -> npt.NDArray[np.float64]:
        """Return by how much the subject is likelier than what spoilt edits look like, `n`."""
        job, spec = self.job, self.job.spec
        if spec.filters.semantic.switch == "off":
            return np.full(len(images), np.nan)
        prompts = semantic.prompts(
            spec.filters.semantic, spec.subject, spec.summarise.prefix, job.classes
        )
        p = image_text(job).probabilities(
            images,
            prompts.all,
            should_stop=job.task.should_stop,
        )
        return np.asarray(prompts.margin(p), dtype=np.float64)

    def _judged(self, small: Picture, sources: Labels) -> npt.NDArray[np.float32]:
        """Return what the classifier that has not seen an edit's source says of it, `n K`."""
        classifiers = self.job.folds()
        p = np.empty((len(small), len(self.job.classes) if classifiers else 0), np.float32)
        for fold, classifier in enumerate(classifiers):
            mine = self._fold[sources] == fold
            if mine.any():
                p[mine] = softmax(classifier.logits(small[mine]).astype(np.float64), axis=1)
        return p


def item_seed(seed: int, maker: str, row: int, description: str, number: int, attempt: int) -> int:
    """Return the uint64 from which alone the noise of an edit is drawn: of no worker, batch or shard."""
    words = int.from_bytes(
        hashlib.blake2b(f"{maker}:{description}".encode(), digest_size=8).digest(), "little"
    )
    return derived_seed("edit", seed, row, words, number, attempt)


def _kept(studio: Studio, blocks: Sequence[Block]) -> Effects:
    task = studio.job.task
    kept = []
    for number, block in enumerate(blocks):
        folder: Path = task.scratch / f"block-{number}"
        folder.mkdir()
        write_block(folder, block)
        kept.append(task.keep_folder(folder))
    made = sum(len(block.slot) for block in blocks)
    halvings = task.claim.payload.get("halvings", 0)
    first = task.claim.stage == "edit" and task.claim.payload.get("start") == 0
    cut = studio.editor.cut_short(studio.job.descriptions, studio.job.classes) if first else []
    return Effects(
        result={
            "cut_short": cut,
            "maker": studio.maker,
            "blocks": kept,
            "edits": made,
            "facts": dict(studio.editor.facts),
            "seconds": round(time.monotonic() - studio.began, 2),
            "halvings": halvings,
        },
        counts={"generated": made} if studio.maker == "edit" else {},
    )


def _progress(task: TaskRun, part: int, parts: int) -> Callable[[float], None]:
    def tell(share: float) -> None:
        task.progress((part + share) / parts, 1.0)
        if task.should_stop():
            raise Interrupted

    return tell

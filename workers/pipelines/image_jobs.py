"""What jobs on images have in common: their images in three parts, and what a first stage keeps of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from models.errors import InputProblem
from models.evaluation.arms import Method
from models.evaluation.splits import TRAIN, UNASSIGNED
from models.images.spec import ImageClassifierSpec, ImageSide
from models.raw.dataset import RawDataset
from workers.pipelines.datasets import Rows, Splits, evaluation_of, manifest_of, part, training_rows
from workers.pipelines.embedding import open_raw
from workers.pipelines.image_parts import PARTS, ImagePart, PartReader, open_part
from workers.task import TaskRun


@dataclass(frozen=True)
class Opened:
    """The images of a job, parted.

    Attributes:
        data: all rows of the dataset.
        split: of each row, `n`.
        labelled: the same, but -1 where a row has no label.
        rows: the training images.
        counts: training images of each class, K.
        too_small: classes that are not in every split.
    """

    data: RawDataset
    split: Splits
    labelled: Splits
    rows: Rows
    counts: npt.NDArray[np.int64]
    too_small: list[int]


def open_images(task: TaskRun, method: Method) -> Opened:
    """Part the rows of the job's dataset.

    Raises:
        InputProblem: ``input_unsuitable``: the rows are no images; or they cannot be parted.
    """
    manifest = manifest_of(task)
    if manifest["modality"] != "image":
        raise InputProblem(
            "input_unsuitable",
            f"The dataset's rows are of modality {manifest['modality']}; {method.label} learns from "
            "images.",
            "dataset",
        )
    data = open_raw(task, manifest)
    split, too_small = part(data, evaluation_of(task), manifest)
    labelled = np.where(data.y >= 0, split, UNASSIGNED).astype(np.int8)
    rows = training_rows(labelled)
    counts = np.bincount(data.y[rows], minlength=len(data.classes))
    return Opened(data, split, labelled, rows, counts, too_small)


def keep_images(task: TaskRun, opened: Opened, side: ImageSide) -> dict[str, Any]:
    """Read the images of each part once and return what later stages find as `ImageJob.result`."""
    reader = PartReader(task, opened.data, opened.labelled, side)
    # Without evaluation nobody looks at the dataset's own held-out rows.
    kept = reader.keep(*(PARTS if evaluation_of(task).enabled else ("train",)))
    path = task.scratch / "split.npy"
    np.save(path, opened.split, allow_pickle=False)
    return {
        "parts": kept,
        "splits": task.keep(path).named,
        "side": side,
        "counts": opened.counts.tolist(),
        "too_small": opened.too_small,
        "made": [
            name
            for name, code in PARTS.items()
            if code != TRAIN and not (opened.data.split == code).any()
        ],
    }


class ImageJob(ABC):
    """What `prepare` kept, as the later stages need it.

    Attributes:
        method: whose job it is.
        handed_out: arms whose classifiers may be handed out.
    """

    method: ClassVar[Method]
    handed_out: ClassVar[tuple[str, ...]]

    def __init__(self, task: TaskRun) -> None:
        self.task = task
        self.result: Mapping[str, Any] = task.claim.earlier["prepare"][0]
        self.evaluate = evaluation_of(task)
        self.classes: tuple[str, ...] = tuple(task.claim.inputs["dataset"]["classes"])
        self.side: ImageSide = self.result["side"]
        self.counts: npt.NDArray[np.int64] = np.array(self.result["counts"], dtype=np.int64)

    @property
    @abstractmethod
    def classifier(self) -> ImageClassifierSpec:
        """The classifiers' spec, as the job has it."""

    @cached_property
    def train(self) -> ImagePart:
        return self.part("train")

    def part(self, name: str) -> ImagePart:
        """Return `train`, `val` or `test`."""
        return open_part(self.task, self.result["parts"][name])

    @property
    def external_weights(self) -> dict[str, Any]:
        """Say whether weights that were trained on other data are allowed, and which had a part."""
        used = [model["id"] for model in self.result["models"]]
        return {"allowed": True, "used": used}

"""The order in this process, by the service's own packages: the one file here that imports them."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from cultivar._report import Report
from cultivar.sklearn._order import Made, Order
from cultivar.specs import EvaluateSpec as Evaluate
from models.embeddings.dataset import EmbeddingDataset
from models.encoders.text import encode_names
from models.errors import InputProblem
from models.evaluation.data import LabelledRows
from models.evaluation.fidelity import measure_fidelity
from models.evaluation.report import Context, build
from models.evaluation.result import Result
from models.evaluation.spec import EvaluateSpec
from models.evaluation.splits import TEST, UNASSIGNED, VAL, make_splits
from models.evaluation.trainer import items
from models.front import preparation
from models.front.front import Front
from models.gelda.method import Generator, train
from models.gelda.spec import GeldaSpec
from models.planning.rows import counts
from models.seeds import derived_seed
from models.semantics.spec import DescriptionVectors, NameVectors
from models.study.rivals import Semantics
from models.study.study import Study

Splits = npt.NDArray[np.int8]


def make(order: Order, device: str) -> Made:
    """Train and draw here.

    Args:
        order: what is wanted.
        device: a torch device; `auto` is CUDA where there is a card, else the CPU.

    Raises:
        ValueError: rows, vectors or spec cannot be used; the sentence says why.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    spec = GeldaSpec.model_validate(order.spec().to_json())
    try:
        counts(spec.plan, dict.fromkeys(order.classes, 0))  # more rows than a job may make?
        with tempfile.TemporaryDirectory(prefix="cultivar-") as scratch:
            run = _Run(order, spec, _vectors(order, spec), device, Path(scratch))
            return run.plain() if order.evaluate is None else run.measured(order.evaluate)
    except InputProblem as problem:
        raise ValueError(problem.detail) from problem


def _vectors(order: Order, spec: GeldaSpec) -> npt.NDArray[np.float32] | None:
    """Return K × m class vectors that carry semantics; None where there are none."""
    source = spec.classes
    if order.vectors is not None:
        return order.vectors
    if source.source == "upload":
        raise ValueError(
            "spec.classes: an upload is at a service; pass the vectors as class_vectors"
        )
    if isinstance(source, NameVectors):
        return encode_names(order.classes, source.template, source.model)
    if isinstance(source, DescriptionVectors):
        fault = source.fault(order.classes, "class")
        if fault is not None:
            raise ValueError(fault.detail)
        return encode_names(
            [source.descriptions[name] for name in order.classes], "{}", source.model
        )
    return None


@dataclass(frozen=True)
class _Run:
    order: Order
    spec: GeldaSpec
    vectors: npt.NDArray[np.float32] | None
    device: str
    scratch: Path

    def plain(self) -> Made:
        """All rows train; nothing is held out and nothing measured."""
        order = self.order
        generator = train(
            order.x,
            order.y,
            classes=order.classes,
            vectors=self.vectors,
            spec=self.spec,
            seed=order.seed,
            scratch=self.scratch,
            front=Front(preparation.fit(order.x, self.spec.preparation[0])),
            device=self.device,
        )
        cells, counters = items(order.rows)
        x = generator.sample(cells, counters, seed=order.seed, sampler=self.spec.sampler)
        return Made(x, generator)

    def measured(self, evaluate: Evaluate) -> Made:
        """One part of the rows trains, the second chooses, the third reports."""
        order, evaluation = self.order, EvaluateSpec.model_validate(evaluate.to_json())
        split, too_small = self._split(evaluation)
        study = Study(
            EmbeddingDataset(order.x, order.y, split, order.classes),
            split,
            self.spec,
            evaluation,
            Semantics(self.vectors),
            order.seed,
            self.scratch,
            device=self.device,
        )
        choice = study.choose()
        generator, (latents, cells) = study.generators[choice.layer], study.drawn(choice)
        result = study.measure(choice)
        x = preparation.transformed(generator.front.inverse, latents, self.device)
        report = self._report(result, LabelledRows(latents, cells), generator, too_small)
        return Made(x, generator, report)

    def _split(self, evaluation: EvaluateSpec) -> tuple[Splits, list[int]]:
        """Return the split of each row, and the classes too small for each of them."""
        split, too_small = make_splits(
            self.order.y,
            np.full(len(self.order.y), UNASSIGNED, dtype=np.int8),
            None,
            val_share=evaluation.val_share,
            test_share=evaluation.test_share,
            seed=derived_seed("split", self.order.seed),
        )
        for code, name in ((VAL, "val"), (TEST, "test")):
            if not (split == code).any():
                raise ValueError(
                    f"evaluate: no class has rows enough for a {name} split beside training; "
                    "bring more rows, or leave evaluate off"
                )
        return split, too_small

    def _report(
        self, result: Result, synthetic: LabelledRows, generator: Generator, too_small: list[int]
    ) -> Report:
        order = self.order
        context = Context(
            seed=order.seed,
            spec=self.spec.model_dump(mode="json"),
            history=[tuple(point) for point in generator.config["history"]],
            too_small=[order.classes[label] for label in too_small],
            made_splits=("val", "test"),
            fidelity=measure_fidelity(result.data, synthetic, part="test", seed=order.seed),
        )
        return Report(build(result, context))

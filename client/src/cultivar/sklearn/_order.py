"""What a sampler wants made, without a word about where, and what it gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cultivar._report import Report
from cultivar.specs import EvaluateSpec, Gelda

NOWHERE = "0" * 32
"""In the ids of rows and vectors that are in this process and at no service."""


@dataclass(frozen=True, slots=True)
class Order:
    """Rows wanted.

    Attributes:
        x: real rows, float32 and finite, n × dim.
        y: class of each, int64, an index into `classes`.
        classes: the labels as names.
        rows: synthetic rows wanted of each class, int64, K.
        vectors: one for each class, float32, K × m; None where `fields` says where they come from.
        fields: of a `Gelda` spec, without dataset and plan.
        seed: everything random follows from it.
        evaluate: how to measure; None leaves it out.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32] | None
    fields: Mapping[str, Any]
    seed: int
    evaluate: EvaluateSpec | None

    def spec(self, dataset: str = f"ds_{NOWHERE}", vectors: str = f"up_{NOWHERE}") -> Gelda:
        """Return the whole spec.

        Args:
            dataset: id of the uploaded rows.
            vectors: id of the uploaded class vectors, where there are any.

        Raises:
            ValueError: a field is unknown or out of its bounds.
        """
        fields = dict(self.fields)
        if self.vectors is not None:
            fields["classes"] = {"source": "upload", "upload": vectors}
        plan = {"per_class": dict(zip(self.classes, self.rows.tolist(), strict=True))}
        return Gelda(dataset=dataset, plan=plan, **fields)


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it.

    Attributes:
        x: synthetic rows, float32, those of class 0 first, as many of each class as wanted.
        generator: the trained generator: the object itself, or the service's record of it.
        report: whether it helps; None where nothing was measured.
        job: the service's job; None in this process.
    """

    x: npt.NDArray[np.float32]
    generator: Any
    report: Report | None = None
    job: Any = None

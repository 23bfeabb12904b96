"""The spec of a plan: how many rows of each class, or of each cell of a class and a subdomain."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator

from models.planning import counting
from models.spec import Spec

_Key = TypeVar("_Key")

MAX_PLANNED_ROWS = 10_000_000
"""Synthetic rows of one job, all classes and cells together; more are several `sample` jobs."""


class CellCount(Spec):
    """Rows to make of a cell: a class in a subdomain, of which there may be no example at all."""

    label: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """The class; null stands for every class."""

    subdomain: Annotated[str, Field(min_length=1, max_length=500)]
    """The subdomain."""

    rows: Annotated[int, Field(ge=0, le=10_000_000)]
    """How many of it; of each class where `label` is null."""


class PlanSpec(Spec):
    """How many items of each class to make, at most 10,000,000 in all. Exactly one of the fields."""

    raise_to: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Raise every class to this many rows, real and synthetic together."""

    per_class: (
        Annotated[int, Field(ge=0, le=10_000_000)]
        | dict[str, Annotated[int, Field(ge=0, le=10_000_000)]]
        | None
    ) = None
    """This many synthetic rows for each class, or by class name (others get none)."""

    match: Literal["largest", "median"] | None = None
    """Raise every class to the size of the largest, or of the median one."""

    multiply: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """This many synthetic rows for each real one."""

    cells: Annotated[tuple[CellCount, ...], Field(min_length=1, max_length=10_000)] | None = None
    """These cells alone, rows of the same cell added up; needs `subdomains`. The other rules treat
    every cell of a job with subdomains as they would a class, cells without a row included."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            found = ", ".join(given) if given else "none"
            raise ValueError(
                f"exactly one of raise_to, per_class, match, multiply and cells is needed; found {found}"
            )
        return self

    def unknown_classes(self, class_counts: Mapping[str, int]) -> list[str]:
        """Return the classes that the plan names and the dataset has not, sorted."""
        named = set(self.per_class) if isinstance(self.per_class, dict) else set()
        named |= {cell.label for cell in self.cells or () if cell.label is not None}
        return sorted(named - set(class_counts))

    def unknown_subdomains(self, subdomains: Collection[str]) -> list[str]:
        """Return the subdomains that the plan names and the dataset has not, sorted."""
        return sorted({cell.subdomain for cell in self.cells or ()} - set(subdomains))

    def too_large(self, class_counts: Mapping[str, int]) -> str | None:
        """Return a sentence where the plan asks for more rows than a job may make."""
        return self._excess(sum(self.counts(class_counts).values()))

    def cells_too_large(
        self,
        classes: Sequence[str],
        subdomains: Sequence[str],
        counts: Mapping[str, Mapping[str, int]],
    ) -> str | None:
        """Return a sentence where the plan asks for more rows of cells than a job may make."""
        wanted = self.cell_counts(classes, subdomains, counts)
        return self._excess(sum(sum(rows.values()) for rows in wanted.values()))

    @staticmethod
    def _excess(total: int) -> str | None:
        if total <= MAX_PLANNED_ROWS:
            return None
        return f"The plan asks for {total:,} rows; one job makes at most {MAX_PLANNED_ROWS:,}."

    def counts(self, class_counts: Mapping[str, int]) -> dict[str, int]:
        """Return how many synthetic rows of each class are asked for, without subdomains.

        Args:
            class_counts: real training rows a class; a class without rows counts 0.

        Raises:
            ValueError: the plan is one of cells.
        """
        if self.cells is not None:
            raise ValueError("a plan of cells needs subdomains")
        if isinstance(self.per_class, dict):
            return {name: self.per_class.get(name, 0) for name in class_counts}
        return self._by_rule(class_counts)

    def cell_counts(
        self,
        classes: Sequence[str],
        subdomains: Sequence[str],
        counts: Mapping[str, Mapping[str, int]],
    ) -> dict[str, dict[str, int]]:
        """Return how many synthetic rows of each class in each subdomain are asked for.

        Args:
            classes: names, in order.
            subdomains: names, in order.
            counts: real training rows by class and subdomain; what is missing counts 0.
        """
        if self.cells is not None:
            named: Counter[tuple[str | None, str]] = Counter()
            for cell in self.cells:
                named[cell.label, cell.subdomain] += cell.rows
            return counting.nested(
                classes, subdomains, lambda cell: named[cell] + named[None, cell[1]]
            )
        if isinstance(self.per_class, dict):
            per_class = self.per_class
            return counting.nested(classes, subdomains, lambda cell: per_class.get(cell[0], 0))
        wanted = self._by_rule(counting.flat(classes, subdomains, counts))
        return counting.nested(classes, subdomains, wanted.__getitem__)

    def _by_rule(self, counts: Mapping[_Key, int]) -> dict[_Key, int]:
        """Apply a rule that names nothing to classes or cells alike."""
        if isinstance(self.per_class, int):
            return dict.fromkeys(counts, self.per_class)
        if self.multiply is not None:
            return counting.multiplied(counts, self.multiply)
        return counting.raised(counts, self.raise_to or counting.size(counts, self.match))

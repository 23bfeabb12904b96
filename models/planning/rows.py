"""How many items of each class or cell to make."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from models.errors import InputProblem
from models.planning.spec import PlanSpec


def counts(plan: PlanSpec, class_counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many synthetic rows of each class ``plan`` asks for, in a job without subdomains.

    Args:
        plan: one rule of `PlanSpec`.
        class_counts: real training rows a class; a class without rows counts 0.

    Raises:
        InputProblem: ``unknown_class``, when the plan names a class that the dataset has not;
            ``cells_need_subdomains``; ``plan_too_large``.
    """
    if plan.cells is not None:
        raise InputProblem(
            "cells_need_subdomains",
            "plan.cells asks for subdomains, but none are conditioned on; give `subdomains`",
            "plan.cells",
        )
    _refuse_unknown_classes(plan, class_counts)
    excess = plan.too_large(class_counts)
    if excess:
        raise InputProblem("plan_too_large", excess, "plan")
    return plan.counts(class_counts)


def cell_rows(
    plan: PlanSpec, classes: Sequence[str], subdomains: Sequence[str], cell_counts: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Return how many synthetic rows of each cell ``plan`` asks for, (K·S,).

    Args:
        plan: one rule of `PlanSpec`.
        classes: K names.
        subdomains: S names; none where the generator knows no subdomains, S is 1 then.
        cell_counts: K·S real training rows a cell, numbered class · S + subdomain.

    Raises:
        InputProblem: ``unknown_class`` or ``unknown_subdomain``, when the plan names one that the
            dataset has not; ``cells_need_subdomains``; ``plan_too_large``.
    """
    if not subdomains:
        rows = counts(plan, dict(zip(classes, map(int, cell_counts), strict=True)))
        return np.array([rows[name] for name in classes], dtype=np.int64)
    _refuse_unknown_classes(plan, dict.fromkeys(classes, 0))
    unknown = plan.unknown_subdomains(subdomains)
    if unknown:
        raise InputProblem(
            "unknown_subdomain",
            f"plan.cells names {unknown[0]!r}, which is not a subdomain of the dataset",
            "plan.cells",
        )
    table = np.asarray(cell_counts, dtype=np.int64).reshape(len(classes), len(subdomains)).tolist()
    have = {
        label: dict(zip(subdomains, row, strict=True))
        for label, row in zip(classes, table, strict=True)
    }
    excess = plan.cells_too_large(classes, subdomains, have)
    if excess:
        raise InputProblem("plan_too_large", excess, "plan")
    wanted = plan.cell_counts(classes, subdomains, have)
    return np.array([n for row in wanted.values() for n in row.values()], dtype=np.int64)


def _refuse_unknown_classes(plan: PlanSpec, class_counts: Mapping[str, int]) -> None:
    unknown = plan.unknown_classes(class_counts)
    if unknown:
        field = "plan.per_class" if plan.cells is None else "plan.cells"
        raise InputProblem(
            "unknown_class",
            f"{field} names {unknown[0]!r}, which is not a class of the dataset",
            field,
        )

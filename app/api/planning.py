"""What a job would do: its stages, and how many rows of each class it would make."""

from collections.abc import Mapping

from app.api.schemas.job import JobPlan, StageView
from app.domain.jobs import PIPELINES
from app.domain.problems import Invalid
from app.domain.specs import SampleSpec
from app.store.database import Transaction
from models.classifiers.spec import ClassifierSpec
from models.gelda.spec import GeldaSpec


def plan_of(
    tx: Transaction, tenant_id: str, spec: GeldaSpec | SampleSpec | ClassifierSpec
) -> JobPlan:
    """Return the plan; ``requested`` is null while what it counts is still being made.

    Raises:
        Invalid: ``unknown_class``, where the plan names a class that the dataset has not;
            ``plan_too_large``.
    """
    stages = [
        StageView(
            code=stage.code, task_class=stage.task_class, sharded=stage.planned_by is not None
        )
        for stage in PIPELINES[spec.kind]
    ]
    if isinstance(spec, ClassifierSpec):
        return JobPlan(stages=stages, requested=None)
    class_counts = _class_counts(tx, tenant_id, spec)
    if class_counts is None:
        return JobPlan(stages=stages, requested=None)
    unknown = spec.plan.unknown_classes(class_counts)
    if unknown:
        raise Invalid(
            f"The plan names {unknown[0]!r}, which is not a class of the dataset.",
            code="unknown_class",
            param="spec.plan.per_class",
        )
    excess = spec.plan.too_large(class_counts)
    if excess:
        raise Invalid(excess, code="plan_too_large", param="spec.plan")
    return JobPlan(stages=stages, requested=spec.plan.counts(class_counts))


def _class_counts(
    tx: Transaction, tenant_id: str, spec: GeldaSpec | SampleSpec
) -> Mapping[str, int] | None:
    if isinstance(spec, GeldaSpec):
        dataset = tx.datasets.get(tenant_id, spec.dataset)
        known = dataset.manifest if dataset is not None else None
    else:
        by_id = spec.generator.startswith("gen_")
        find = tx.generators.get if by_id else tx.generators.by_job
        generator = find(tenant_id, spec.generator)
        known = generator.config if generator is not None else None
    return (known or {}).get("class_counts")

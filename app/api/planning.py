"""What a job would do: its stages, and how many rows of each class, or cell, it would make."""

from app.api.fitting import check_fit, check_generator
from app.api.known_rows import KnownRows, of_dataset, of_generator, of_images, of_sources
from app.api.makers import method_of, named_generator
from app.api.schemas.job import JobPlan, StageView
from app.domain.jobs import stages_of
from app.domain.problems import Invalid
from app.domain.specs import AliaSpec, EmbedSpec, GlicoSpec, RequestedSpec, SampleSpec
from app.store.database import Transaction
from models.classifiers.spec import ClassifierSpec
from models.gelda.spec import GeldaSpec
from models.planning.spec import PlanSpec


def plan_of(tx: Transaction, tenant_id: str, spec: RequestedSpec) -> JobPlan:
    """Return the plan; ``requested`` is null while what it counts is still being made.

    Raises:
        Invalid: the spec does not fit its dataset or generator (see `app.api.fitting`);
            ``unknown_class`` or ``unknown_subdomain``, where the plan names one that is not there;
            ``cells_need_subdomains``, ``too_many_cells``, ``plan_too_large``.
    """
    stages = [
        StageView(
            code=stage.code, task_class=stage.task_class, sharded=stage.planned_by is not None
        )
        for stage in stages_of(spec.kind, spec.model_dump()).values()
    ]
    if isinstance(spec, ClassifierSpec | EmbedSpec):
        return JobPlan(stages=stages, requested=None, cells=None)
    rows = _known(tx, tenant_id, spec)
    if rows is None:
        return JobPlan(stages=stages, requested=None, cells=None)
    _check_names(spec.plan, rows)
    if rows.subdomains is None:
        return JobPlan(stages=stages, requested=_by_class(spec.plan, rows), cells=None)
    cells = _by_cell(spec.plan, rows, rows.subdomains)
    requested = {name: sum(row.values()) for name, row in cells.items()}
    return JobPlan(stages=stages, requested=requested, cells=cells)


def _known(
    tx: Transaction, tenant_id: str, spec: AliaSpec | GeldaSpec | GlicoSpec | SampleSpec
) -> KnownRows | None:
    """Return what is known of the rows that the plan counts; None while they are being made."""
    if isinstance(spec, SampleSpec):
        check_generator(spec, method_of(tx, tenant_id, spec.generator))
        generator = named_generator(tx, tenant_id, spec.generator)
        return of_generator(generator.config) if generator is not None else None
    dataset = tx.datasets.get(tenant_id, spec.dataset)
    if dataset is None or dataset.manifest is None:
        return None
    manifest, stats = dataset.manifest, dataset.stats or {}
    check_fit(spec, manifest, stats)
    if isinstance(spec, AliaSpec):
        return of_sources(manifest, stats)
    if isinstance(spec, GlicoSpec):
        return of_images(manifest, stats)
    return of_dataset(manifest, conditioned=spec.subdomains is not None)


def _check_names(plan: PlanSpec, rows: KnownRows) -> None:
    field = "cells" if plan.cells is not None else "per_class"
    if plan.cells is not None and rows.subdomains is None:
        raise Invalid(
            "The plan names cells, but the generator knows no subdomains.",
            code="cells_need_subdomains",
            param="spec.plan.cells",
        )
    unknown = plan.unknown_classes(rows.class_counts)
    if unknown:
        raise Invalid(
            f"The plan names {unknown[0]!r}, which is not a class of the dataset.",
            code="unknown_class",
            param=f"spec.plan.{field}",
        )
    foreign = plan.unknown_subdomains(rows.subdomains or ())
    if foreign:
        raise Invalid(
            f"The plan names {foreign[0]!r}, which is not a subdomain of the dataset.",
            code="unknown_subdomain",
            param="spec.plan.cells",
        )


def _by_class(plan: PlanSpec, rows: KnownRows) -> dict[str, int]:
    _check_size(plan.too_large(rows.class_counts))
    wanted = plan.counts(rows.class_counts)
    return {name: 0 if name in rows.barren else count for name, count in wanted.items()}


def _by_cell(
    plan: PlanSpec, rows: KnownRows, subdomains: tuple[str, ...]
) -> dict[str, dict[str, int]]:
    if rows.cell_counts is None:
        raise Invalid(
            f"The dataset has {len(rows.class_counts):,} classes in {len(subdomains):,} subdomains, "
            "more cells than a job can plan; at most 100,000 are counted.",
            code="too_many_cells",
            param="spec.subdomains",
        )
    classes = tuple(rows.class_counts)
    _check_size(plan.cells_too_large(classes, subdomains, rows.cell_counts))
    return plan.cell_counts(classes, subdomains, rows.cell_counts)


def _check_size(excess: str | None) -> None:
    if excess:
        raise Invalid(excess, code="plan_too_large", param="spec.plan")

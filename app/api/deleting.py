"""How something with derivations is deleted: a look first, and then, unless that was all, one transaction."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Query

from app.api.context import Caller
from app.api.idempotency import Answer, once
from app.api.openapi import Responses, problems
from app.api.schemas.deletion import DeletionChoice, DeletionView
from app.domain.deletions import Deletion
from app.domain.problems import NotFound
from app.store.database import Transaction

DryRun = Annotated[bool, Query(description="Say what would be deleted; delete nothing.")]
Cascade = Annotated[
    bool | None,
    Query(
        description="`true` deletes what derives from it too, `false` keeps that; without a choice it is "
        "refused where there is any."
    ),
]
DELETED: Responses = problems(403, 404, 409)

Plan = Callable[[Transaction], Deletion]
"""Makes the plan, or raises NotFound."""


def delete(
    caller: Caller, key: str | None, named: str, plan: Plan, *, cascade: bool | None, dry_run: bool
) -> Answer:
    """Delete by plan and return what was deleted.

    Raises:
        NotFound: there is nothing of that id.
        Forbidden: the key may not delete all that would go.
        Conflict: it is in use, or has derivations and nothing was said of them.
    """

    def told(found: Deletion, freed: tuple[int, int]) -> Answer:
        refusal = found.refusal.body() if found.refusal is not None else None
        view = DeletionView(
            id=named,
            dry_run=dry_run,
            jobs=found.jobs,
            derived=found.derived,
            uploads=found.uploads,
            freed_blobs=freed[0],
            freed_bytes=freed[1],
            refusal=refusal,
        )
        return Answer(200, view.model_dump_json())

    if dry_run:
        with caller.store.snapshot() as tx:
            found = plan(tx)
            return told(found, tx.deletions.freed(found))
    # What is freed is counted before: all references are read for it, which must not keep writers waiting.
    with caller.store.snapshot() as tx:
        freed = _look(tx, plan)
    with caller.store.write() as tx:
        tx.tenants.alone(caller.tenant_id)

        def make() -> Answer:
            found = plan(tx)
            for job in found.jobs:
                caller.require("datasets:write" if job.kind == "ingest" else "jobs:write")
            tx.deletions.carry_out(found)
            return told(found, freed)

        return once(tx, caller, key, DeletionChoice(cascade=cascade), make)


def _look(tx: Transaction, plan: Plan) -> tuple[int, int]:
    try:
        return tx.deletions.freed(plan(tx))
    except NotFound:
        # That is for the transaction to say: it may have an earlier answer to the same request.
        return 0, 0

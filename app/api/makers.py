"""By which method a generator was made, or is going to be."""

from typing import cast

from app.domain.records import Model
from app.domain.specs import Method
from app.store.database import Transaction


def named_generator(tx: Transaction, tenant_id: str, named: str) -> Model | None:
    """Return the generator of an id: its own, or that of the job that made it."""
    find = tx.generators.get if named.startswith("gen_") else tx.generators.by_job
    return find(tenant_id, named)


def method_of(tx: Transaction, tenant_id: str, named: str) -> Method:
    """Return the method of a generator that need not be made yet.

    Args:
        tx: the transaction in which it has been found.
        tenant_id: whose it is.
        named: its id, or that of a job that makes one.
    """
    if named.startswith("job_"):
        job = tx.jobs.get(tenant_id, named)
        assert job is not None
        return cast("Method", job.kind)
    generator = tx.generators.get(tenant_id, named)
    assert generator is not None
    return cast("Method", generator.config["method"])

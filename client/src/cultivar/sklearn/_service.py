"""The order at a service: rows go up, a `gelda` job runs, synthetic rows come down."""

import numpy as np

from cultivar._client import Client
from cultivar._exceptions import CultivarError
from cultivar._report import Report
from cultivar.sklearn._order import Made, Order


def make(order: Order, client: Client) -> Made:
    """Return what a job of the service made. Dataset and job stay there.

    Raises:
        CultivarError: the service refused, could not be reached, or its job failed.
    """
    names = np.asarray(order.classes)
    rows = {"x": order.x, "y": order.y, "classes": names}
    dataset = client.datasets.upload(rows, name="GeldaSampler", progress=False)
    ids = {"dataset": dataset.id}
    if order.vectors is not None:
        vectors = {"vectors": order.vectors, "classes": names}
        ids["vectors"] = client.uploads.create(vectors, progress=False).id
    evaluate = False if order.evaluate is None else order.evaluate
    job = client.jobs.create(order.spec(**ids), seed=order.seed, evaluate=evaluate)
    job.wait(progress=False)
    output = job.output
    found = np.bincount(output.y, minlength=len(names))
    if not np.array_equal(found, order.rows):
        raise CultivarError(
            f"{job.id} is {job.state} with {found.sum()} rows; {order.rows.sum()} were asked for"
        )
    report: Report | None = None if order.evaluate is None else job.report
    return Made(output.x[np.argsort(output.y, kind="stable")], job.generator, report, job)

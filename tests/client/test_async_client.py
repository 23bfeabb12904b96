"""The asynchronous client has the blocking one's shape, and works."""

import asyncio
import inspect

import numpy as np
import pytest

from cultivar import (
    AsyncClient,
    AsyncDataset,
    AsyncJob,
    AsyncTrainedClassifier,
    Client,
    Dataset,
    Job,
    NotFoundError,
    TrainedClassifier,
)
from cultivar import _async_client as theirs
from cultivar import _client as ours
from cultivar.specs import DenoiserSpec, Gelda, ObjectiveSpec


@pytest.mark.parametrize(
    ("blocking", "awaited"),
    [
        (Client, AsyncClient),
        (Job, AsyncJob),
        (Dataset, AsyncDataset),
        (ours.Datasets, theirs.AsyncDatasets),
        (ours.Jobs, theirs.AsyncJobs),
        (ours.Models, theirs.AsyncModels),
        (ours.Classifiers, theirs.AsyncClassifiers),
        (TrainedClassifier, AsyncTrainedClassifier),
    ],
    ids=lambda kind: kind.__name__,
)
def test_the_two_clients_have_one_shape(blocking, awaited):
    names = {name for name in dir(blocking) if not name.startswith("_")}
    assert {name for name in dir(awaited) if not name.startswith("_")} == names
    for name in names:
        first, second = getattr(blocking, name), getattr(awaited, name)
        if inspect.isfunction(first) and inspect.isfunction(second):
            parameters = [list(inspect.signature(one).parameters) for one in (first, second)]
            assert parameters[0] == parameters[1], name


def test_from_arrays_to_rows_and_back(local, arrays, tmp_path):
    async def pipeline(client):
        dataset = await client.datasets.upload(arrays, name="async", progress=False)
        spec = Gelda(
            dataset=dataset,
            per_class=5,
            evaluate=False,
            objective=ObjectiveSpec(steps=20),
            denoiser=DenoiserSpec(width=32, blocks=1),
        )
        job = await client.jobs.create(spec)
        await job.wait(progress=False)
        output = await job.output()
        assert np.bincount(output.y).tolist() == [5, 5, 5]
        assert (await dataset.refresh()).state == "ready"
        assert (await dataset.stats()) is not None
        assert [one async for one in job.events()][-1].type == "job.succeeded"
        assert job.id in [one.id async for one in client.jobs.list(kind="gelda")]
        paths = await job.download(tmp_path, ["synthetic.npz"], progress=False)
        assert paths[0].stat().st_size > 0
        assert (await job.generator()).job_id == job.id
        with pytest.raises(NotFoundError):
            await job.report()

    asyncio.run(_with_client(local, pipeline))


def test_waits_run_side_by_side(local, arrays):
    async def pipeline(client):
        uploads = [
            client.datasets.upload({**arrays, "x": arrays["x"] + i}, progress=False)
            for i in range(3)
        ]
        datasets = await asyncio.gather(*uploads)
        await asyncio.gather(*[dataset.wait(150, progress=False) for dataset in datasets])
        assert [dataset.state for dataset in datasets] == ["ready"] * 3

    asyncio.run(_with_client(local, pipeline))


def test_a_cancelled_wait_leaves_the_job_alone(local, dataset):
    async def pipeline(client):
        job = await client.jobs.create(
            Gelda(dataset=dataset, raise_to=60, objective=ObjectiveSpec(steps=1_000_000))
        )
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await job.wait(progress=False)
        assert not (await job.refresh()).finished
        await job.cancel()

    asyncio.run(_with_client(local, pipeline))


async def _with_client(local, pipeline):
    async with AsyncClient(local.base_url, local._connection.api_key) as client:
        await pipeline(client)

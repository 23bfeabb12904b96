"""The asynchronous client: the shape of `Client`, with what asks the service awaited."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cultivar import _operations as operations
from cultivar._async_handles import AsyncDataset, AsyncJob, AsyncTrainedClassifier
from cultivar._deleting import Deletion, delete
from cultivar._exchange import Flow
from cultivar._operations import Arrays, Order, Paths
from cultivar._records import DatasetRecord, JobRecord, Model, Record, Upload
from cultivar._settings import resolve
from cultivar._transport import AsyncTransport
from cultivar.specs import EvaluateSpec, ReleaseSpec, Spec

if TYPE_CHECKING:
    from cultivar._local import LocalServer

T = TypeVar("T")
R = TypeVar("R", bound=Record)


class AsyncClient:
    """A connection to a Cultivar service, for asyncio; use it in an `async with` block.

    Arguments, environment and errors are those of `Client`.
    """

    def __init__(self, base_url: str | None = None, api_key: str | None = None) -> None:
        self._connection = resolve(base_url, api_key)
        self._transport = AsyncTransport(self._connection)
        self._server: LocalServer | None = None
        self.uploads = AsyncUploads(self)
        self.datasets = AsyncDatasets(self)
        self.jobs = AsyncJobs(self)
        self.generators = AsyncModels(self, "generators")
        self.classifiers = AsyncClassifiers(self, "classifiers")

    @classmethod
    async def local(cls, home: str | os.PathLike[str] | None = None) -> Self:
        """Start a service of one's own and connect to it, as `Client.local` does."""
        from cultivar._local import LocalServer  # noqa: PLC0415 (only who asks pays for it)

        server = await asyncio.to_thread(LocalServer, home)
        try:
            client = cls(server.url, server.api_key)
        except BaseException:
            await asyncio.to_thread(server.close)
            raise
        client._server = server
        return client

    @property
    def base_url(self) -> str:
        return self._connection.base_url

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close connections, and stop the service if `local` started it."""
        await self._transport.close()
        if self._server is not None:
            await asyncio.to_thread(self._server.close)

    async def run(self, flow: Flow[T]) -> T:
        """Run one of the package's own flows."""
        return await self._transport.run(flow)

    async def rows(
        self,
        record: type[R],
        path: str,
        filters: Mapping[str, Any],
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncIterator[R]:
        """Yield a list route's rows, newest first, a page at a time."""
        query, cursor = operations.list_query(filters, metadata), None
        while True:
            page, cursor = await self.run(operations.page_of(record, path, query, cursor))
            for row in page:
                yield row
            if cursor is None:
                return


class AsyncUploads:
    """Files that a spec names and that are no dataset, such as class vectors."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self, source: str | os.PathLike[str] | Mapping[str, Any], *, progress: bool = True
    ) -> Upload:
        """Bring one file, npz or Parquet, or arrays by name as one npz; resumable as a dataset's."""
        return await self._client.run(operations.upload_alone(source, progress))


class AsyncDatasets:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def upload(
        self,
        source: Paths | Arrays,
        *,
        name: str | None = None,
        format: str | None = None,  # noqa: A002 (the API's word)
        columns: Mapping[str, str | bool | float] | None = None,
        modality: str = "embedding",
        progress: bool = True,
    ) -> AsyncDataset:
        """Bring data to the service and return its dataset; see `Client`'s `datasets.upload`."""
        flow = operations.upload_dataset(
            source, name=name, form=format, columns=columns, modality=modality, show=progress
        )
        return AsyncDataset(self._client, await self._client.run(flow))

    async def get(self, dataset_id: str) -> AsyncDataset:
        flow = operations.get(DatasetRecord, f"/v1/datasets/{dataset_id}")
        return AsyncDataset(self._client, await self._client.run(flow))

    async def delete(
        self, dataset: str | AsyncDataset, *, dry_run: bool = False, cascade: bool | None = None
    ) -> Deletion:
        """Delete a dataset; see `Client`'s `datasets.delete`."""
        path = f"/v1/datasets/{dataset if isinstance(dataset, str) else dataset.id}"
        return await self._client.run(delete(path, dry_run=dry_run, cascade=cascade))

    async def list(self) -> AsyncIterator[AsyncDataset]:
        """Yield all datasets, newest first."""
        async for record in self._client.rows(DatasetRecord, "/v1/datasets", {}):
            yield AsyncDataset(self._client, record)


class AsyncJobs:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self,
        spec: Spec,
        *,
        seed: int | None = None,
        evaluate: EvaluateSpec | bool | None = None,
        deadline_seconds: float | None = None,
        metadata: Mapping[str, str] | None = None,
        release_if: ReleaseSpec | Mapping[str, float] | None = None,
    ) -> AsyncJob:
        """Ask for a job and return at once; see `Client`'s `jobs.create`."""
        body = Order(seed, evaluate, deadline_seconds, metadata, release_if).body(spec)
        record = await self._client.run(operations.post(JobRecord, "/v1/jobs", body))
        return AsyncJob(self._client, record)

    async def get(self, job_id: str) -> AsyncJob:
        flow = operations.get(JobRecord, f"/v1/jobs/{job_id}")
        return AsyncJob(self._client, await self._client.run(flow))

    async def delete(
        self, job: str | AsyncJob, *, dry_run: bool = False, cascade: bool | None = None
    ) -> Deletion:
        """Delete a job that has ended; see `Client`'s `jobs.delete`."""
        path = f"/v1/jobs/{job if isinstance(job, str) else job.id}"
        return await self._client.run(delete(path, dry_run=dry_run, cascade=cascade))

    async def list(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncIterator[AsyncJob]:
        """Yield jobs, newest first."""
        filters = {"kind": kind, "status": state}
        async for record in self._client.rows(JobRecord, "/v1/jobs", filters, metadata):
            yield AsyncJob(self._client, record)


class AsyncModels:
    """Trained generators, or classifiers."""

    def __init__(self, client: AsyncClient, noun: str) -> None:
        self._client = client
        self._noun = noun
        self._path = f"/v1/{noun}"

    async def get(self, model_id: str) -> Model:
        return await self._client.run(operations.get(Model, f"{self._path}/{model_id}"))

    def list(self) -> AsyncIterator[Model]:
        """Yield them all, newest first."""
        return self._client.rows(Model, self._path, {})

    async def download(
        self, model: str | Model, folder: str | os.PathLike[str], *, progress: bool = True
    ) -> Sequence[Path]:
        """Fetch a model's weights, configuration and card into a folder; each file is checked."""
        model_id = model if isinstance(model, str) else model.id
        flow = operations.download_model(self._noun, model_id, Path(folder), progress)
        return await self._client.run(flow)


class AsyncClassifiers(AsyncModels):
    """Trained classifiers, which can be loaded."""

    async def get(self, model_id: str) -> AsyncTrainedClassifier:
        return AsyncTrainedClassifier.of(self._client, await super().get(model_id))

    async def list(self) -> AsyncIterator[AsyncTrainedClassifier]:
        """Yield them all, newest first."""
        async for model in super().list():
            yield AsyncTrainedClassifier.of(self._client, model)

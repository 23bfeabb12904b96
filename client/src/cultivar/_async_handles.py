"""Handles of the asynchronous client; what asks the service is awaited, the rest is `_views`'."""

from collections.abc import AsyncIterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from cultivar import _operations as operations
from cultivar import _reviewing as reviewing
from cultivar._classifier import LocalClassifier
from cultivar._exceptions import CultivarError
from cultivar._image_classifier import LocalImageClassifier
from cultivar._images import SyntheticImages
from cultivar._output import Output
from cultivar._polling import wait
from cultivar._records import Artifact, DatasetRecord, Event, JobRecord, Model, Review, ReviewItem
from cultivar._report import Report
from cultivar._views import DatasetView, JobView

if TYPE_CHECKING:
    from cultivar._async_client import AsyncClient


class AsyncJob(JobView):
    """A job at the service. It runs there whether or not this process lives."""

    def __init__(self, client: "AsyncClient", record: JobRecord) -> None:
        super().__init__(record)
        self._client = client

    async def refresh(self) -> "AsyncJob":
        """Ask the service how the job stands now; return this handle."""
        self.record = await self._client.run(operations.get(JobRecord, f"/v1/jobs/{self.id}"))
        return self

    async def wait(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 (as in Client)
        *,
        progress: bool = True,
        until_ended: bool = False,
    ) -> "AsyncJob":
        """Wait until the job has ended, or waits for a person itself, and return this handle.

        Cancelling the wait detaches.

        Args:
            timeout: seconds after which to give up; by default never.
            progress: show a live bar a step (on a terminal; lines elsewhere).
            until_ended: go on waiting while the job waits for a person (`awaiting` says for what).

        Raises:
            JobFailed: it ended without success.
            WaitTimeout: it did not end in that time, and goes on.
        """
        self.record = await self._client.run(wait(self.id, timeout, progress, until_ended))
        self.raise_for_state()
        return self

    async def cancel(self) -> "AsyncJob":
        """Ask the service to stop the job; a second time, or too late, changes nothing."""
        flow = operations.post(JobRecord, f"/v1/jobs/{self.id}/cancel")
        self.record = await self._client.run(flow)
        return self

    async def retry(self) -> "AsyncJob":
        """Ask for the same again, as a new job, and return that; for one without success."""
        flow = operations.post(JobRecord, f"/v1/jobs/{self.id}/retry")
        return AsyncJob(self._client, await self._client.run(flow))

    async def events(self, after: int | None = None) -> AsyncIterator[Event]:
        """Yield what has happened to the job so far, oldest first, from after event `after`."""
        cursor = None if after is None else str(after)
        while True:
            page, cursor = await self._client.run(operations.events_page(self.id, cursor))
            for event in page:
                yield event
            if cursor is None:
                return

    async def items(self) -> AsyncIterator[ReviewItem]:
        """Yield what the job shows a person, in the order in which it was made."""
        cursor = None
        while True:
            page, cursor = await self._client.run(reviewing.items_page(self.id, cursor))
            for item in page:
                yield item
            if cursor is None:
                return

    async def download_items(
        self, folder: str | PathLike[str], *, progress: bool = True
    ) -> list[Path]:
        """Fetch the images of all items, each beside what it was made from, into a folder.

        They are ``ID-before`` and ``ID-after`` with the suffix of their format.
        """
        flow = reviewing.download_items(self.id, Path(folder), progress)
        return await self._client.run(flow)

    async def reviews(self) -> Review:
        """Return what a person has said of the job so far."""
        return await self._client.run(reviewing.said(self.id))

    async def review(
        self,
        *,
        descriptions: str | Sequence[str] | None = None,
        accept: str | Sequence[str] = (),
        reject: str | Sequence[str] = (),
    ) -> "AsyncJob":
        """Say what a job that waits is to go on with, and return this handle; `resume` lets it go on.

        Args:
            descriptions: all of them, in place of those proposed; each with one `{}` for the class.
            accept: ids of items to keep, whatever was said of them before.
            reject: ids of items to drop, whatever was said of them before.

        Raises:
            ConflictError: the job does not wait for this.
        """
        await self._client.run(reviewing.review(self.id, descriptions, accept, reject))
        return self

    async def resume(self) -> "AsyncJob":
        """Let a job that waits for a person go on, and return this handle; a second time changes nothing."""
        flow = operations.post(JobRecord, f"/v1/jobs/{self.id}/resume")
        self.record = await self._client.run(flow)
        return self

    async def artifacts(self) -> list[Artifact]:
        """Return the files that the job has made so far."""
        return await self._client.run(operations.artifacts(self.id))

    async def download(
        self,
        folder: str | PathLike[str],
        names: Sequence[str] | None = None,
        *,
        progress: bool = True,
    ) -> list[Path]:
        """Fetch the job's files, or those named, into a folder, and return their paths.

        Every file is checked by its sha-256, and is there whole or not at all.
        """
        flow = operations.download(self.id, Path(folder), names, progress)
        return await self._client.run(flow)

    async def images(
        self, folder: str | PathLike[str], *, progress: bool = True
    ) -> SyntheticImages:
        """Fetch the synthetic images into a folder, one folder a class, and return them.

        Args:
            folder: is made, or is empty; what appears in it is whole.
            progress: show a bar.
        """
        return await self._client.run(operations.images(self.record, Path(folder), progress))

    async def report(self) -> Report:
        """Return whether it helped, by how much, and against what."""
        return Report(await self._client.run(operations.get_json(f"/v1/jobs/{self.id}/report")))

    async def output(self) -> Output:
        """Return the synthetic rows, in memory."""
        return await self._client.run(operations.output(self.record, show=False))

    async def dataset(self) -> "AsyncDataset":
        """Return the dataset that an `embed` job makes; it may be named in a spec before it is ready."""
        return await self._client.datasets.get(self._made("dataset"))

    async def generator(self) -> Model:
        """Return the trained generator; name it in a `Sample` spec to draw more."""
        return await self._client.generators.get(self._made("generator"))

    async def classifier(self) -> "AsyncTrainedClassifier":
        """Return the trained classifier; awaiting its `load` brings it into this process."""
        return await self._client.classifiers.get(self._made("classifier"))


class AsyncTrainedClassifier(Model):
    """A trained classifier at the service."""

    _client: "AsyncClient | None" = PrivateAttr(None)

    @classmethod
    def of(cls, client: "AsyncClient", model: Model) -> "AsyncTrainedClassifier":
        made = cls.model_validate(model.model_dump())
        made._client = client
        return made

    async def load(self) -> LocalClassifier | LocalImageClassifier:
        """Fetch its weights and return it, ready to predict embeddings, or images, in this process.

        Raises:
            ConfigurationError: it is one on images, and `cultivar[images]` is not installed.
        """
        if self._client is None:
            raise CultivarError(f"{self.id} is of no client; load_classifier(folder) reads files")
        return await self._client.run(operations.load_trained(self))


class AsyncDataset(DatasetView):
    """A dataset at the service. It may be named in a job before it is ready."""

    def __init__(self, client: "AsyncClient", record: DatasetRecord) -> None:
        super().__init__(record)
        self._client = client

    async def refresh(self) -> "AsyncDataset":
        """Ask the service how the dataset stands now; return this handle."""
        flow = operations.get(DatasetRecord, f"/v1/datasets/{self.id}")
        self.record = await self._client.run(flow)
        return self

    async def wait(self, timeout: float | None = None, *, progress: bool = True) -> "AsyncDataset":  # noqa: ASYNC109 (as in Client)
        """Wait until the dataset is ready and return this handle.

        Raises:
            JobFailed: its files were not accepted; `code` and `detail` say which row and why.
        """
        job = await self._client.jobs.get(self.job_id)
        await job.wait(timeout, progress=progress)
        return await self.refresh()

    async def thumbnails(self, folder: str | PathLike[str] = ".", *, progress: bool = True) -> Path:
        """Fetch one picture of up to 64 of its images, some of each class, into a folder."""
        flow = operations.download_thumbnails(self.record, Path(folder), progress)
        return await self._client.run(flow)

    async def stats(self) -> Mapping[str, Any] | None:
        """Return class counts, splits, subdomains, duplicates, bad rows; None until ready."""
        flow = operations.get_json(f"/v1/datasets/{self.id}/stats")
        stats: Mapping[str, Any] | None = (await self._client.run(flow))["stats"]
        return stats

"""Handles of the blocking client: a job, a dataset."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
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
from cultivar._progress import stderr
from cultivar._records import Artifact, DatasetRecord, Event, JobRecord, Model, Review, ReviewItem
from cultivar._report import Report
from cultivar._views import DatasetView, JobView

if TYPE_CHECKING:
    from cultivar._client import Client


class Job(JobView):
    """A job at the service. It runs there whether or not this process lives."""

    def __init__(self, client: "Client", record: JobRecord) -> None:
        super().__init__(record)
        self._client = client

    def refresh(self) -> "Job":
        """Ask the service how the job stands now; return this handle."""
        self.record = self._client.run(operations.get(JobRecord, f"/v1/jobs/{self.id}"))
        return self

    def wait(
        self,
        timeout: float | None = None,
        *,
        progress: bool = True,
        until_ended: bool = False,
    ) -> "Job":
        """Wait until the job has ended, or waits for a person itself, and return this handle.

        Ctrl-C detaches: the job goes on.

        Args:
            timeout: seconds after which to give up; by default never.
            progress: show a live bar a step (on a terminal; lines elsewhere).
            until_ended: go on waiting while the job waits for a person (`awaiting` says for what).

        Raises:
            JobFailed: it ended without success.
            WaitTimeout: it did not end in that time, and goes on.
        """
        try:
            self.record = self._client.run(wait(self.id, timeout, progress, until_ended))
        except KeyboardInterrupt:
            stderr().print(self._detached(), markup=False, soft_wrap=True)
            raise
        self.raise_for_state()
        return self

    def cancel(self) -> "Job":
        """Ask the service to stop the job; a second time, or too late, changes nothing."""
        self.record = self._client.run(operations.post(JobRecord, f"/v1/jobs/{self.id}/cancel"))
        return self

    def retry(self) -> "Job":
        """Ask for the same again, as a new job, and return that; for one without success."""
        flow = operations.post(JobRecord, f"/v1/jobs/{self.id}/retry")
        return Job(self._client, self._client.run(flow))

    def events(self, after: int | None = None) -> Iterator[Event]:
        """Yield what has happened to the job so far, oldest first, from after event `after`."""
        cursor = None if after is None else str(after)
        while True:
            flow = operations.events_page(self.id, cursor)
            page, cursor = self._client.run(flow)
            yield from page
            if cursor is None:
                return

    def items(self) -> Iterator[ReviewItem]:
        """Yield what the job shows a person, in the order in which it was made."""
        cursor = None
        while True:
            page, cursor = self._client.run(reviewing.items_page(self.id, cursor))
            yield from page
            if cursor is None:
                return

    def download_items(self, folder: str | PathLike[str], *, progress: bool = True) -> list[Path]:
        """Fetch the images of all items, each beside what it was made from, into a folder.

        They are ``ID-before`` and ``ID-after`` with the suffix of their format.
        """
        flow = reviewing.download_items(self.id, Path(folder), progress)
        return self._client.run(flow)

    @property
    def reviews(self) -> Review:
        """What a person has said of the job so far."""
        return self._client.run(reviewing.said(self.id))

    def review(
        self,
        *,
        descriptions: str | Sequence[str] | None = None,
        accept: str | Sequence[str] = (),
        reject: str | Sequence[str] = (),
    ) -> "Job":
        """Say what a job that waits is to go on with, and return this handle; `resume` lets it go on.

        Args:
            descriptions: all of them, in place of those proposed; each with one `{}` for the class.
            accept: ids of items to keep, whatever was said of them before.
            reject: ids of items to drop, whatever was said of them before.

        Raises:
            ConflictError: the job does not wait for this.
        """
        self._client.run(reviewing.review(self.id, descriptions, accept, reject))
        return self

    def resume(self) -> "Job":
        """Let a job that waits for a person go on, and return this handle; a second time changes nothing."""
        flow = operations.post(JobRecord, f"/v1/jobs/{self.id}/resume")
        self.record = self._client.run(flow)
        return self

    @property
    def artifacts(self) -> list[Artifact]:
        """The files that the job has made so far."""
        return self._client.run(operations.artifacts(self.id))

    def download(
        self,
        folder: str | PathLike[str],
        names: Sequence[str] | None = None,
        *,
        progress: bool = True,
    ) -> list[Path]:
        """Fetch the job's files, or those named, into a folder, and return their paths.

        Every file is checked by its sha-256, and is there whole or not at all.
        """
        return self._client.run(operations.download(self.id, Path(folder), names, progress))

    def images(self, folder: str | PathLike[str], *, progress: bool = True) -> SyntheticImages:
        """Fetch the synthetic images into a folder, one folder a class, and return them.

        Args:
            folder: is made, or is empty; what appears in it is whole.
            progress: show a bar.
        """
        return self._client.run(operations.images(self.record, Path(folder), progress))

    @cached_property
    def report(self) -> Report:
        """Whether it helped, by how much, and against what; `print` shows the verdict first."""
        return Report(self._client.run(operations.get_json(f"/v1/jobs/{self.id}/report")))

    @cached_property
    def output(self) -> Output:
        """The synthetic rows, in memory."""
        return self._client.run(operations.output(self.record, show=False))

    @property
    def dataset(self) -> "Dataset":
        """The dataset that an `embed` job makes; it may be named in a spec before it is ready."""
        return self._client.datasets.get(self._made("dataset"))

    @property
    def generator(self) -> Model:
        """The trained generator; name it in a `Sample` spec to draw more."""
        return self._client.generators.get(self._made("generator"))

    @property
    def classifier(self) -> "TrainedClassifier":
        """The trained classifier; ``job.classifier.load()`` brings it into this process."""
        return self._client.classifiers.get(self._made("classifier"))


class TrainedClassifier(Model):
    """A trained classifier at the service."""

    _client: "Client | None" = PrivateAttr(None)

    @classmethod
    def of(cls, client: "Client", model: Model) -> "TrainedClassifier":
        made = cls.model_validate(model.model_dump())
        made._client = client
        return made

    def load(self) -> LocalClassifier | LocalImageClassifier:
        """Fetch its weights and return it, ready to predict embeddings, or images, in this process.

        Raises:
            ConfigurationError: it is one on images, and `cultivar[images]` is not installed.
        """
        if self._client is None:
            raise CultivarError(f"{self.id} is of no client; load_classifier(folder) reads files")
        return self._client.run(operations.load_trained(self))


class Dataset(DatasetView):
    """A dataset at the service. It may be named in a job before it is ready."""

    def __init__(self, client: "Client", record: DatasetRecord) -> None:
        super().__init__(record)
        self._client = client

    def refresh(self) -> "Dataset":
        """Ask the service how the dataset stands now; return this handle."""
        flow = operations.get(DatasetRecord, f"/v1/datasets/{self.id}")
        self.record = self._client.run(flow)
        return self

    def wait(self, timeout: float | None = None, *, progress: bool = True) -> "Dataset":
        """Wait until the dataset is ready and return this handle.

        Raises:
            JobFailed: its files were not accepted; `code` and `detail` say which row and why.
        """
        self._client.jobs.get(self.job_id).wait(timeout, progress=progress)
        return self.refresh()

    def thumbnails(self, folder: str | PathLike[str] = ".", *, progress: bool = True) -> Path:
        """Fetch one picture of up to 64 of its images, some of each class, into a folder."""
        flow = operations.download_thumbnails(self.record, Path(folder), progress)
        return self._client.run(flow)

    @property
    def stats(self) -> Mapping[str, Any] | None:
        """Class counts, splits, subdomains, duplicates, bad rows; None until it is ready."""
        flow = operations.get_json(f"/v1/datasets/{self.id}/stats")
        stats: Mapping[str, Any] | None = self._client.run(flow)["stats"]
        return stats

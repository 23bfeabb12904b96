"""The blocking client."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cultivar import _operations as operations
from cultivar._deleting import Deletion, delete
from cultivar._exchange import Flow
from cultivar._handles import Dataset, Job, TrainedClassifier
from cultivar._operations import Arrays, Order, Paths
from cultivar._records import DatasetRecord, JobRecord, Model, Record, Upload
from cultivar._settings import resolve
from cultivar._transport import SyncTransport
from cultivar.specs import EvaluateSpec, ReleaseSpec, Spec

if TYPE_CHECKING:
    from cultivar._local import LocalServer

T = TypeVar("T")
R = TypeVar("R", bound=Record)


class Client:
    """A connection to a Cultivar service. Thread-safe; close it, or use it in a `with` block.

    Args:
        base_url: by default `CULTIVAR_URL`, else ``http://127.0.0.1:8321``.
        api_key: by default `CULTIVAR_API_KEY`, else, for a service on this machine, the key file
            that `cultivar serve` keeps under `CULTIVAR_HOME`.

    Raises:
        ConfigurationError: there is no key.
    """

    def __init__(self, base_url: str | None = None, api_key: str | None = None) -> None:
        self._connection = resolve(base_url, api_key)
        self._transport = SyncTransport(self._connection)
        self._server: LocalServer | None = None
        self.uploads = Uploads(self)
        self.datasets = Datasets(self)
        self.jobs = Jobs(self)
        self.generators = Models(self, "generators")
        self.classifiers = Classifiers(self, "classifiers")

    @classmethod
    def local(cls, home: str | os.PathLike[str] | None = None) -> Self:
        """Start a service of one's own on a free port and connect to it; `close` stops it.

        Args:
            home: where it keeps everything; by default `CULTIVAR_HOME`, else ``~/.cultivar``.

        Raises:
            ConfigurationError: the package cultivar-server is not installed.
            LocalServerError: it did not start; the message has the end of its log.
        """
        from cultivar._local import LocalServer  # noqa: PLC0415 (only who asks pays for it)

        server = LocalServer(home)
        try:
            client = cls(server.url, server.api_key)
        except BaseException:
            server.close()
            raise
        client._server = server
        return client

    @property
    def base_url(self) -> str:
        return self._connection.base_url

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self  # a connection is shared, not copied, by whatever holds it and is copied

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections, and stop the service if `local` started it."""
        self._transport.close()
        if self._server is not None:
            self._server.close()

    def run(self, flow: Flow[T]) -> T:
        """Run one of the package's own flows."""
        return self._transport.run(flow)

    def rows(
        self,
        record: type[R],
        path: str,
        filters: Mapping[str, Any],
        metadata: Mapping[str, str] | None = None,
    ) -> Iterator[R]:
        """Yield a list route's rows, newest first, a page at a time."""
        query, cursor = operations.list_query(filters, metadata), None
        while True:
            page, cursor = self.run(operations.page_of(record, path, query, cursor))
            yield from page
            if cursor is None:
                return


class Uploads:
    """Files that a spec names and that are no dataset, such as class vectors."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self, source: str | os.PathLike[str] | Mapping[str, Any], *, progress: bool = True
    ) -> Upload:
        """Bring one file, npz or Parquet, or arrays by name as one npz; resumable as a dataset's."""
        return self._client.run(operations.upload_alone(source, progress))


class Datasets:
    def __init__(self, client: Client) -> None:
        self._client = client

    def upload(
        self,
        source: Paths | Arrays,
        *,
        name: str | None = None,
        format: str | None = None,  # noqa: A002 (the API's word)
        columns: Mapping[str, str | bool | float] | None = None,
        modality: str = "embedding",
        progress: bool = True,
    ) -> Dataset:
        """Bring data to the service and return its dataset, which may be used at once.

        The same file sent again, after a lost connection or a killed process, goes on where
        it broke off.

        Args:
            source: a file, several files whose rows follow each other, ``(x, y)``, or arrays by
                name: ``{"x": …, "y": …, "x_test": …, "y_test": …, "classes": …}``. For raw data also
                a folder, of class folders or with a metadata file, which is sent as one zip.
            name: for people; by default the file's name.
            format: npz, npy, safetensors, parquet or arrow; of raw data zip, tar, webdataset, parquet,
                jsonl or csv. By default told by the suffix.
            columns: which array or column holds what, e.g. ``{"x": "features", "y": "target"}``;
                with ``"unlabelled": True`` rows may have no label (None, NaN, an empty name, -1). Of raw data
                `label`, `item`, `subdomain` and so on, as docs/data-formats.md has it.
            modality: embedding, image, audio or text.
            progress: show bars.
        """
        flow = operations.upload_dataset(
            source, name=name, form=format, columns=columns, modality=modality, show=progress
        )
        return Dataset(self._client, self._client.run(flow))

    def get(self, dataset_id: str) -> Dataset:
        flow = operations.get(DatasetRecord, f"/v1/datasets/{dataset_id}")
        return Dataset(self._client, self._client.run(flow))

    def delete(
        self, dataset: str | Dataset, *, dry_run: bool = False, cascade: bool | None = None
    ) -> Deletion:
        """Delete a dataset, the job that makes it, and the uploads that nothing else names.

        Args:
            dataset: the dataset, or its id.
            dry_run: say what would go; delete nothing.
            cascade: whether what derives from it (jobs that name it, jobs that name those, and so on) is
                deleted too, or stays; None refuses where there is any.

        Raises:
            ConflictError: it is not made yet, a job that has not ended reads it, or something derives
                from it and nothing was said of that.
        """
        path = f"/v1/datasets/{dataset if isinstance(dataset, str) else dataset.id}"
        return self._client.run(delete(path, dry_run=dry_run, cascade=cascade))

    def list(self) -> Iterator[Dataset]:
        """Yield all datasets, newest first."""
        for record in self._client.rows(DatasetRecord, "/v1/datasets", {}):
            yield Dataset(self._client, record)


class Jobs:
    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        spec: Spec,
        *,
        seed: int | None = None,
        evaluate: EvaluateSpec | bool | None = None,
        deadline_seconds: float | None = None,
        metadata: Mapping[str, str] | None = None,
        release_if: ReleaseSpec | Mapping[str, float] | None = None,
    ) -> Job:
        """Ask for a job and return at once.

        Args:
            spec: what to do; it may name a dataset or a job that is not finished.
            seed: everything random in the job follows from it; by default the spec's, else 0.
            evaluate: how the job measures itself; False leaves it out.
            deadline_seconds: how long after now the job may still run.
            metadata: labels of one's own, to find the job by.
            release_if: what must hold for an `Alia`, `Gelda` or `Glico` job to hand out anything but its
                report, e.g. ``{"min_gain_low": 0, "max_copy_share": 0}``; by default the spec's.
        """
        body = Order(seed, evaluate, deadline_seconds, metadata, release_if).body(spec)
        return Job(self._client, self._client.run(operations.post(JobRecord, "/v1/jobs", body)))

    def get(self, job_id: str) -> Job:
        flow = operations.get(JobRecord, f"/v1/jobs/{job_id}")
        return Job(self._client, self._client.run(flow))

    def delete(
        self, job: str | Job, *, dry_run: bool = False, cascade: bool | None = None
    ) -> Deletion:
        """Delete a job that has ended, with all that it has made: files, models, dataset.

        Args:
            job: the job, or its id.
            dry_run: say what would go; delete nothing.
            cascade: whether what derives from it (jobs that name it, or something it has made, and so on)
                is deleted too, or stays; None refuses where there is any.

        Raises:
            ConflictError: it has not ended, a job that has not ended reads it, or something derives
                from it and nothing was said of that.
        """
        path = f"/v1/jobs/{job if isinstance(job, str) else job.id}"
        return self._client.run(delete(path, dry_run=dry_run, cascade=cascade))

    def list(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Iterator[Job]:
        """Yield jobs, newest first."""
        filters = {"kind": kind, "status": state}
        for record in self._client.rows(JobRecord, "/v1/jobs", filters, metadata):
            yield Job(self._client, record)


class Models:
    """Trained generators, or classifiers."""

    def __init__(self, client: Client, noun: str) -> None:
        self._client = client
        self._noun = noun
        self._path = f"/v1/{noun}"

    def get(self, model_id: str) -> Model:
        return self._client.run(operations.get(Model, f"{self._path}/{model_id}"))

    def list(self) -> Iterator[Model]:
        """Yield them all, newest first."""
        return self._client.rows(Model, self._path, {})

    def download(
        self, model: str | Model, folder: str | os.PathLike[str], *, progress: bool = True
    ) -> Sequence[Path]:
        """Fetch a model's weights, configuration and card into a folder; each file is checked."""
        model_id = model if isinstance(model, str) else model.id
        flow = operations.download_model(self._noun, model_id, Path(folder), progress)
        return self._client.run(flow)


class Classifiers(Models):
    """Trained classifiers, which can be loaded."""

    def get(self, model_id: str) -> TrainedClassifier:
        return TrainedClassifier.of(self._client, super().get(model_id))

    def list(self) -> Iterator[TrainedClassifier]:
        """Yield them all, newest first."""
        for model in super().list():
            yield TrainedClassifier.of(self._client, model)

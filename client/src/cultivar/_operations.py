"""One flow for each thing the client can ask of the service; both clients run the same."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cultivar._classifier import LocalClassifier
from cultivar._constants import PAGE_LIMIT
from cultivar._downloading import RemoteFile, download_to
from cultivar._exceptions import ConfigurationError, CultivarError
from cultivar._exchange import Flow, Query, Send, Work, exchange, new_key, one_page, pages
from cultivar._image_classifier import LocalImageClassifier
from cultivar._images import IMAGES_NAMES, SHARDS_NAME, SyntheticImages, check_empty, unpack
from cultivar._loading import load_classifier, needed
from cultivar._output import OUTPUT_NAMES, Output, read_output
from cultivar._packing import as_zip
from cultivar._progress import transfer
from cultivar._records import Artifact, DatasetRecord, Event, JobRecord, Model, Record, Upload
from cultivar._uploading import as_npz, format_of, upload_file
from cultivar.specs._base import Part
from cultivar.specs._generated import EvaluateSpec, ReleaseSpec

R = TypeVar("R", bound=Record)

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Arrays = Mapping[str, Any] | tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """What belongs to a job beside its spec; None leaves the choice to the spec or the service."""

    seed: int | None = None
    evaluate: EvaluateSpec | bool | None = None
    deadline_seconds: float | None = None
    metadata: Mapping[str, str] | None = None
    release_if: ReleaseSpec | Mapping[str, float] | None = None

    def body(self, spec: Part) -> dict[str, Any]:
        """Return the request; `seed`, `evaluate` and `release_if` may come with the spec."""
        seed = getattr(spec, "seed", None) if self.seed is None else self.seed
        given = getattr(spec, "evaluate", None) if self.evaluate is None else self.evaluate
        evaluate = EvaluateSpec(enabled=given) if isinstance(given, bool) else given
        gate = getattr(spec, "release_if", None) if self.release_if is None else self.release_if
        release_if = None if gate is None else ReleaseSpec.model_validate(gate)
        body = {
            "spec": spec.to_json(),
            "seed": seed,
            "evaluate": evaluate.to_json() if evaluate is not None else None,
            "release_if": release_if.to_json() if release_if is not None else None,
            "deadline_seconds": self.deadline_seconds,
            "metadata": dict(self.metadata) if self.metadata else None,
        }
        return {name: value for name, value in body.items() if value is not None}


def get(record: type[R], path: str) -> Flow[R]:
    reply = yield from exchange(Send("GET", path))
    return record.model_validate(reply.json())


def get_json(path: str) -> Flow[Any]:
    reply = yield from exchange(Send("GET", path))
    return reply.json()


def post(record: type[R], path: str, body: Any = None) -> Flow[R]:
    reply = yield from exchange(Send("POST", path, json=body, headers=new_key()))
    return record.model_validate(reply.json())


def page_of(
    record: type[R], path: str, query: Query, after: str | None
) -> Flow[tuple[list[R], str | None]]:
    rows, cursor = yield from one_page(Send("GET", path, query), after)
    return [record.model_validate(row) for row in rows], cursor


def list_query(filters: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Query:
    """Return a list route's query without the filters that are not set."""
    query: dict[str, str | int] = {"limit": PAGE_LIMIT}
    query.update({name: value for name, value in filters.items() if value is not None})
    query.update({f"metadata.{name}": value for name, value in (metadata or {}).items()})
    return query


def upload_dataset(
    source: Paths | Arrays,
    *,
    name: str | None,
    form: str | None,
    columns: Mapping[str, str | bool | float] | None,
    modality: str,
    show: bool,
) -> Flow[DatasetRecord]:
    """Bring files, a folder or arrays to the service and make a dataset of them."""
    with contextlib.ExitStack() as stack:
        files: list[Path] = yield Work(lambda: stack.enter_context(_files(source)))
        body: dict[str, Any] = {"modality": modality, "upload_ids": []}
        if modality == "embedding":
            form = form or format_of(files)
        body.update({"format": form} if form else {})
        for file in files:
            upload = yield from upload_one(file, show)
            body["upload_ids"].append(upload.id)
    body.update({"name": name} if name else {})
    body.update({"columns": dict(columns)} if columns else {})
    return (yield from post(DatasetRecord, "/v1/datasets", body))


def upload_alone(source: str | os.PathLike[str] | Mapping[str, Any], show: bool) -> Flow[Upload]:
    """Bring one file, or arrays as one npz, to the service without making a dataset of it."""
    with contextlib.ExitStack() as stack:
        files: list[Path] = yield Work(lambda: stack.enter_context(_files(source)))
        return (yield from upload_one(files[0], show))


def upload_one(file: Path, show: bool) -> Flow[Upload]:
    size = file.stat().st_size
    with transfer(file.name, "hashing", "sending", total=size, show=show) as (hashed, sent):
        return (yield from upload_file(file, hashed, sent))


@contextlib.contextmanager
def _files(source: Paths | Arrays) -> Iterator[list[Path]]:
    """Yield the files of a source; arrays become a temporary one."""
    if isinstance(source, Mapping):
        with as_npz(source) as file:
            yield [file]
        return
    if isinstance(source, tuple) and not isinstance(source[0], str | os.PathLike):
        x, y = source
        with as_npz({"x": x, "y": y}) as file:
            yield [file]
        return
    names = [source] if isinstance(source, str | os.PathLike) else list(source)
    files = [Path(name).expanduser() for name in names]
    if len(files) == 1 and files[0].is_dir():
        with as_zip(files[0]) as packed:
            yield [packed]
        return
    missing = [str(file) for file in files if not file.is_file()]
    if missing or not files:
        raise ConfigurationError(f"No such file: {', '.join(missing) or 'none was named'}")
    yield files


def artifacts(job_id: str) -> Flow[list[Artifact]]:
    rows = yield from pages(Send("GET", f"/v1/jobs/{job_id}/artifacts", {"limit": PAGE_LIMIT}))
    return [Artifact.model_validate(row) for row in rows]


def download(
    job_id: str, folder: Path, names: Sequence[str] | None, show: bool
) -> Flow[list[Path]]:
    """Fetch a job's files (those named, or all) into a folder; each is checked and whole."""
    found = {artifact.name: artifact for artifact in (yield from artifacts(job_id))}
    missing = sorted(set(names or ()) - found.keys())
    if missing:
        raise CultivarError(
            f"{job_id} made no {', '.join(missing)}; it made {', '.join(found) or 'no files'}"
        )
    paths = []
    for name in names if names is not None else found:
        one = found[name]
        path = f"/v1/artifacts/{one.id}/content"
        wanted = RemoteFile(path, one.name, one.sha256, one.bytes)
        paths.append((yield from _download_one(wanted, folder, show)))
    return paths


def download_thumbnails(dataset: DatasetRecord, folder: Path, show: bool) -> Flow[Path]:
    """Fetch the contact sheet of a dataset of images into a folder.

    Raises:
        CultivarError: it has none.
    """
    kept = (dataset.manifest or {}).get("columns", {}).get("thumbnails")
    if kept is None:
        raise CultivarError(f"{dataset.id} ({dataset.modality}, {dataset.state}) has no thumbnails")
    path = f"/v1/datasets/{dataset.id}/thumbnails"
    wanted = RemoteFile(path, "thumbnails.webp", kept["sha256"], kept["bytes"])
    return (yield from _download_one(wanted, folder, show))


def download_model(noun: str, model_id: str, folder: Path, show: bool) -> Flow[list[Path]]:
    """Fetch all files of a generator or classifier into a folder."""
    model = yield from get(Model, f"/v1/{noun}/{model_id}")
    paths = []
    for name in model.files:
        wanted = _model_file(noun, model, name)
        paths.append((yield from _download_one(wanted, folder, show)))
    return paths


def load_trained(model: Model) -> Flow[LocalClassifier | LocalImageClassifier]:
    """Fetch a classifier into memory."""
    names = needed(model.files)
    missing = [name for name in names if name not in model.files]
    if missing:
        raise CultivarError(
            f"{model.id} has no {', '.join(missing)}; it has {', '.join(model.files) or 'no files'}"
        )
    with tempfile.TemporaryDirectory(prefix="cultivar-") as folder:
        for name in names:
            yield from _download_one(_model_file("classifiers", model, name), Path(folder), False)
        loaded: LocalClassifier | LocalImageClassifier = yield Work(lambda: load_classifier(folder))
    return loaded


def _model_file(noun: str, model: Model, name: str) -> RemoteFile:
    file = model.files[name]
    path = f"/v1/{noun}/{model.id}/files/{name}"
    return RemoteFile(path, name, file["sha256"], file["bytes"])


def _download_one(wanted: RemoteFile, folder: Path, show: bool) -> Flow[Path]:
    with transfer(wanted.name, "receiving", total=wanted.bytes, show=show) as (received,):
        return (yield from download_to(wanted, folder, received))


def output(job: JobRecord, show: bool) -> Flow[Output]:
    """Fetch a job's synthetic rows into memory."""
    made = [artifact.name for artifact in (yield from artifacts(job.id))]
    found = [name for name in made if name in OUTPUT_NAMES]
    if not found:
        images = not {*IMAGES_NAMES}.isdisjoint(made)
        instead = ", but images: job.images(folder) fetches them" if images else ""
        raise CultivarError(f"{job.id} ({job.kind}, {job.state}) has no synthetic rows{instead}")
    with tempfile.TemporaryDirectory(prefix="cultivar-") as folder:
        paths = yield from download(job.id, Path(folder), found[:1], show)
        rows: Output = yield Work(lambda: read_output(paths[0]))
    return rows


def images(job: JobRecord, folder: Path, show: bool) -> Flow[SyntheticImages]:
    """Fetch a job's synthetic images and unpack them into a folder of their own."""
    made = [artifact.name for artifact in (yield from artifacts(job.id))]
    found = [name for name in made if name in IMAGES_NAMES]
    if not found:
        instead = " in class folders: job.download(folder) fetches its " + SHARDS_NAME
        raise CultivarError(
            f"{job.id} ({job.kind}, {job.state}) has no synthetic images"
            + (instead if SHARDS_NAME in made else "")
        )
    folder = folder.expanduser()
    yield Work(lambda: check_empty(folder))
    yield Work(lambda: folder.parent.mkdir(parents=True, exist_ok=True))
    # Beside the folder, not in the system's own place for such: there may be little room there.
    with tempfile.TemporaryDirectory(prefix=".cultivar-", dir=folder.parent) as name:
        scratch = Path(name)
        (archive,) = yield from download(job.id, scratch, found[:1], show)
        unpacked: SyntheticImages = yield Work(lambda: unpack(archive, scratch, folder))
    return unpacked


def events_page(job_id: str, after: str | None) -> Flow[tuple[list[Event], str | None]]:
    """Return one page of a job's events, oldest first, and the cursor of the next."""
    send = Send("GET", f"/v1/jobs/{job_id}/events", {"limit": PAGE_LIMIT})
    rows, cursor = yield from one_page(send, after)
    return [Event.model_validate(row) for row in rows], cursor

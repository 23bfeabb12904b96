"""A file to the service: hashed, cut into parts, continued where an earlier try broke off."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cultivar._constants import READ_TIMEOUT, SLOWEST_JOIN
from cultivar._digests import digest_field, read_slice, sha256_slice
from cultivar._exceptions import ConfigurationError, NotFoundError
from cultivar._exchange import Flow, Send, Work, exchange, new_key
from cultivar._records import Upload

FORMATS = {
    ".npz": "npz",
    ".npy": "npy",
    ".safetensors": "safetensors",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}

FIRST_PART = 1

OnBytes = Callable[[int], None]


def format_of(paths: list[Path]) -> str:
    """Return the dataset format that all the files' suffixes name."""
    found = {FORMATS.get(path.suffix.lower()) for path in paths}
    form = found.pop() if len(found) == 1 else None
    if form is None:
        names = ", ".join(path.name for path in paths)
        raise ConfigurationError(
            f"The format does not follow from {names}; pass format=, one of "
            f"{', '.join(sorted(set(FORMATS.values())))}"
        )
    return form


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Part of a file as a request's body; a retry reads it again."""

    path: Path
    start: int
    length: int
    on_bytes: OnBytes

    def chunks(self) -> Iterator[bytes]:
        sent = 0
        try:
            for chunk in read_slice(self.path, self.start, self.length):
                yield chunk
                sent += len(chunk)
                self.on_bytes(len(chunk))
        finally:
            if sent < self.length:  # broke off: the next try counts from the start again
                self.on_bytes(-sent)


def upload_file(path: Path, on_hashed: OnBytes, on_sent: OnBytes) -> Flow[Upload]:
    """Bring a file to the service and return its completed upload.

    The key of the first request is made from the file's hash. So the same file begun again,
    by this process or the next, is the same upload: parts that arrived are not sent twice.
    """
    size = path.stat().st_size
    sha256 = yield Work(lambda: sha256_slice(path, 0, size, on_hashed))
    begin = Send(
        "POST", "/v1/uploads", json={"filename": path.name, "bytes": size, "sha256": sha256}
    )
    upload = yield from _begin(begin)
    received = {part.number for part in upload.parts}
    for number, start in enumerate(range(0, size, upload.part_bytes), FIRST_PART):
        length = min(upload.part_bytes, size - start)
        if number in received or upload.state == "complete":
            on_sent(length)
            continue
        yield from _put_part(upload, number, FileSlice(path, start, length, on_sent))
    if upload.state == "complete":
        return upload
    # A retry does not join twice: the service has it wait for the first and answers the same.
    done = yield from exchange(
        Send(
            "POST",
            f"/v1/uploads/{upload.id}/complete",
            headers=new_key(),
            read_timeout=READ_TIMEOUT + size / SLOWEST_JOIN,
        )
    )
    return Upload.model_validate(done.json())


def _begin(begin: Send) -> Flow[Upload]:
    """Begin an upload, or find the one that the same file began earlier."""
    fingerprint = hashlib.sha256(json.dumps(begin.json, sort_keys=True).encode()).hexdigest()
    for headers in ({"Idempotency-Key": f"upload-{fingerprint}"}, new_key()):
        reply = yield from exchange(replace(begin, headers=headers))
        begun = Upload.model_validate(reply.json())
        try:
            # The answer may be the replay of an older one: ask what has arrived since.
            reply = yield from exchange(Send("GET", f"/v1/uploads/{begun.id}"))
        except NotFoundError:
            continue  # begun long ago and collected since: begin anew
        return Upload.model_validate(reply.json())
    raise NotFoundError(404, {"detail": "The upload vanished as soon as it was begun."})


def _put_part(upload: Upload, number: int, part: FileSlice) -> Flow[None]:
    sha256 = yield Work(lambda: sha256_slice(part.path, part.start, part.length))
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Digest": digest_field(sha256),
    }
    path = f"/v1/uploads/{upload.id}/parts/{number}"
    yield from exchange(Send("PUT", path, body=part, headers=headers))


def _plain(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array without objects; None among names becomes an empty one, among numbers NaN."""
    if array.dtype != object:
        return array
    missing = np.array([item is None for item in array.flat]).reshape(array.shape)
    kinds = {type(item) for item in array[~missing]}
    if kinds <= {str}:
        return np.where(missing, "", array).astype(str)
    if missing.any() and kinds <= {int, float}:
        return array.astype(float)
    raise ConfigurationError(f"{name} holds Python objects; numbers or names are needed")


@contextmanager
def as_npz(arrays: Mapping[str, Any]) -> Iterator[Path]:
    """Write arrays to a temporary npz that is gone afterwards.

    Lists of names become fixed-width strings; nothing that would have to be pickled is written.
    """
    plain = {name: _plain(name, np.asarray(value)) for name, value in arrays.items()}
    with tempfile.TemporaryDirectory(prefix="cultivar-") as folder:
        path = Path(folder) / "arrays.npz"
        with path.open("wb") as file:
            np.savez(file, **plain)  # type: ignore[arg-type]
        yield path

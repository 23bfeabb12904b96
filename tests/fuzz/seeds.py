"""One small honest file for each decoder, and how it is read."""

import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image
from safetensors.numpy import save

from tests.fuzz.mutate import damaged
from tests.fuzz.sums import flac_sums, ogg_sums, png_sums, tar_sums

Files = dict[str, bytes]
Json = dict[str, Any]


@dataclass(frozen=True)
class Seed:
    """A file to damage.

    Attributes:
        what: which reader takes it, one of `workers.decoder.READERS`; or `image`, `audio`: items alone.
        request: what the reader is told beside the files.
        besides: honest files that come before it.
        inner: a part of it, and how the whole is made of that part: damaged before it is wrapped, it passes
            sums and compression which damage from outside does not.
        mended: makes the checksums of a damaged file right again.
    """

    what: str
    data: bytes
    request: Json = field(default_factory=dict)
    besides: Files = field(default_factory=dict)
    inner: tuple[bytes, Callable[[bytes], bytes]] | None = None
    mended: Callable[[bytes], bytes] | None = None

    def mutant(self, rng: random.Random) -> bytes:
        """Return a damaged copy."""
        way = rng.random()
        if self.inner is not None and way < 0.5:
            part, whole = self.inner
            return whole(damaged(part, rng))
        copy = damaged(self.data, rng)
        return self.mended(copy) if self.mended is not None and way < 0.75 else copy


def seeds() -> dict[str, Seed]:
    """Return the seeds by the name of what reads them."""
    return {**_embeddings(), **_vectors(), **_images(), **_other_raw(), **_items()}


def _arrays() -> dict[str, np.ndarray[Any, Any]]:
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    return {"x": x, "y": np.arange(12) % 3}


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _zip(files: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, data in files.items():
            file.writestr(zipfile.ZipInfo(name), data, method)
    return stream.getvalue()


def _parquet(columns: dict[str, Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, **options)
    return stream.getvalue()


def _ipc(columns: dict[str, Any], new: Callable[..., Any], compression: str | None) -> bytes:
    stream, table = io.BytesIO(), pa.table(columns)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with new(stream, table.schema, options=options) as sink:
        sink.write_table(table)
    return stream.getvalue()


def _embeddings() -> dict[str, Seed]:
    arrays = _arrays()
    members = {f"{name}.npy": _npy(array) for name, array in arrays.items()}
    x = members["x.npy"]
    columns = {"x": list(arrays["x"]), "y": np.array(["p", "q", "r"])[arrays["y"]]}

    def read(format_: str) -> Json:
        return {"format": format_, "columns": {}}

    def packed(method: int) -> tuple[bytes, Callable[[bytes], bytes]]:
        return x, lambda part: _zip({**members, "x.npy": part}, method)

    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    return {
        "npz": Seed("embeddings", _zip(members), read("npz"), inner=packed(stored)),
        "npz-deflated": Seed(
            "embeddings", _zip(members, deflated), read("npz"), inner=packed(deflated)
        ),
        "npy": Seed("embeddings", x, read("npy"), {"y.npy": members["y.npy"]}),
        "safetensors": Seed("embeddings", save(arrays), read("safetensors")),
        "parquet": Seed("embeddings", _parquet(columns), read("parquet")),
        "parquet-zstd": Seed(
            "embeddings", _parquet(columns, compression="zstd"), read("parquet")
        ),
        "arrow-file": Seed("embeddings", _ipc(columns, pa.ipc.new_file, None), read("arrow")),
        "arrow-stream": Seed("embeddings", _ipc(columns, pa.ipc.new_stream, "zstd"), read("arrow")),
    }  # fmt: skip


def _vectors() -> dict[str, Seed]:
    names, vectors = np.array(["p", "q", "r"]), np.eye(3, dtype=np.float32)
    request = {"arrays": ["v"], "field": "classes"}
    npz = _zip({"v.npy": _npy(vectors), "classes.npy": _npy(names)})
    parquet = _parquet({"name": names, "v": list(vectors)})
    head = {"weight": vectors, "bias": np.zeros(3, np.float32)}
    told = {"weight": "weight", "bias": "bias", "classes": list("pqr"), "dim": 3, "param": "head"}
    return {
        "vectors-npz": Seed("vectors", npz, request),
        "vectors-parquet": Seed("vectors", parquet, request),
        "head": Seed("head", _zip({f"{k}.npy": _npy(v) for k, v in head.items()}), told),
    }


def _picture(seed: int, kind: str = "PNG", **options: Any) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind, **options)
    return stream.getvalue()


def _tar(files: Files) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
        end = file.offset + 1024
    return stream.getvalue()[:end]  # without the zeros that fill its last record


def _raw(modality: str, format_: str, **columns: Any) -> Json:
    return {"modality": modality, "format": format_, "columns": {"max_bad_share": 1, **columns}}


def _images() -> dict[str, Seed]:
    images = {f"{'ab'[i % 2]}/{i}.png": _picture(i) for i in range(6)}
    lines = "".join(f"{name},{name[0]}\n" for name in images)
    metadata = {"metadata.csv": f"file_name,label\n{lines}".encode()}
    first = next(iter(images))
    tar = _tar(images)
    shard = {f"{i}.png": _picture(i) for i in range(6)} | {
        f"{i}.cls": str(i % 2).encode() for i in range(6)
    }
    table = {
        "image": [{"bytes": _picture(i), "path": f"{i}.png"} for i in range(6)],
        "label": [0, 1] * 3,
    }
    return {
        "zip-folders": Seed(
            "raw", _zip(images), _raw("image", "zip"),
            inner=(images[first], lambda part: _zip({**images, first: part})),
        ),
        "zip-imagefolder": Seed(
            "raw", _zip({**images, **metadata}, zipfile.ZIP_DEFLATED), _raw("image", "zip"),
            inner=(metadata["metadata.csv"], lambda part: _zip({**images, "metadata.csv": part})),
        ),
        "tar-folders": Seed("raw", tar, _raw("image", "tar"), mended=tar_sums),
        "tar-gz": Seed(
            "raw", gzip.compress(tar), _raw("image", "tar"),
            inner=(tar, lambda part: gzip.compress(tar_sums(part), 1)),
        ),
        "webdataset": Seed("raw", _tar(shard), _raw("image", "webdataset"), mended=tar_sums),
        "parquet-images": Seed("raw", _parquet(table), _raw("image", "parquet")),
    }  # fmt: skip


def _other_raw() -> dict[str, Seed]:
    rows = [{"text": f"text {i}, and more", "label": "ab"[i % 2]} for i in range(8)]
    csv = "text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in rows)
    clips = {f"{'ab'[i % 2]}/{i}.wav": _clip(i, "WAV") for i in range(4)}
    table = {name: [row[name] for row in rows] for name in ("text", "label")}
    first = next(iter(clips))
    return {
        "csv": Seed("raw", csv.encode(), _raw("text", "csv")),
        "jsonl": Seed("raw", "\n".join(map(json.dumps, rows)).encode(), _raw("text", "jsonl")),
        "parquet-texts": Seed("raw", _parquet(table), _raw("text", "parquet")),
        "zip-audiofolder": Seed(
            "raw", _zip(clips), _raw("audio", "zip"),
            inner=(clips[first], lambda part: _zip({**clips, first: part})),
        ),
    }  # fmt: skip


def _clip(seed: int, kind: str) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(seed).normal(size=800) * 0.1
    soundfile.write(stream, noise, 8000, format=kind)
    return stream.getvalue()


def _items() -> dict[str, Seed]:
    return {
        "jpeg": Seed("image", _picture(0, "JPEG")),
        "jpeg-progressive": Seed("image", _picture(0, "JPEG", progressive=True)),
        "png": Seed("image", _picture(0), mended=png_sums),
        "webp": Seed("image", _picture(0, "WEBP")),
        "webp-lossless": Seed("image", _picture(0, "WEBP", lossless=True)),
        **{
            kind.lower(): Seed("audio", _clip(0, kind), mended=sums)
            for kind, sums in {"WAV": None, "FLAC": flac_sums, "OGG": ogg_sums, "MP3": None}.items()
        },
    }

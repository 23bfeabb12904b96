"""Small real images, clips and archives, and one way to read them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from models.errors import InputProblem
from models.raw.canonical import read_raw
from models.raw.dataset import RawDataset
from models.raw.limits import RawLimits
from models.raw.spec import RawColumns

Files = Mapping[str, bytes]


def picture(seed: int = 0, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Image.Image:
    """Return noise."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], channels) if channels > 1 else (size[1], size[0])
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.frombytes(mode, size, values.tobytes())


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(seed: int = 0, **options: Any) -> bytes:
    return encoded(picture(seed, **options))


def clip(seed: int = 0, seconds: float = 0.2, rate: int = 8000, kind: str = "WAV", **options: Any) -> bytes:  # fmt: skip
    noise = np.random.default_rng(seed).normal(size=int(seconds * rate)) * 0.1
    return sound(noise, rate, kind, **options)


def sound(samples: np.ndarray[Any, Any], rate: int = 8000, kind: str = "WAV", **options: Any) -> bytes:  # fmt: skip
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, **options)
    return stream.getvalue()


def folders(make: Callable[[int], bytes], ending: str, count: int = 20) -> dict[str, bytes]:
    """Return files of the classes `ant` and `bee`, in turn."""
    names = ("ant", "bee")
    return {f"{names[i % 2]}/{i}{ending}": make(i) for i in range(count)}


def tar_bytes(files: Files, **options: Any) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=options.pop("mode", "w"), **options) as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.fixture
def images() -> dict[str, bytes]:
    """20 images of two classes."""
    return folders(png, ".png")


@pytest.fixture
def clips() -> dict[str, bytes]:
    """20 clips of two classes."""
    return folders(clip, ".wav")


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[..., Path]:
    def write(files: Files, name: str = "set.zip", method: int = zipfile.ZIP_STORED) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", method) as file:
            for entry, data in files.items():
                file.writestr(entry, data)
        return path

    return write


@pytest.fixture
def tarred(tmp_path: Path) -> Callable[..., Path]:
    def write(files: Files, name: str = "set.tar", **options: Any) -> Path:
        path = tmp_path / name
        path.write_bytes(tar_bytes(files, **options))
        return path

    return write


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


@pytest.fixture
def ingest(out: Path) -> Callable[..., dict[str, Any]]:
    """Read files into ``out``; images, of the format of the first one's ending, unless said otherwise."""

    def read(*paths: Path, limits: RawLimits | None = None, **options: Any) -> dict[str, Any]:
        kind = options.pop("format", paths[0].suffix[1:])
        modality = options.pop("modality", "image")
        return read_raw(
            paths, [path.name for path in paths], modality=modality, format=kind,
            columns=RawColumns(**options), limits=limits or RawLimits(), out=out,
        )  # fmt: skip

    return read


@pytest.fixture
def refusal(ingest: Callable[..., Any]) -> Callable[..., InputProblem]:
    """Read files that must be refused, and return why."""

    def refused(*paths: Path, **options: Any) -> InputProblem:
        with pytest.raises(InputProblem) as caught:
            ingest(*paths, **options)
        problem = caught.value
        assert problem.param
        assert len(problem.detail) < 1500
        return problem

    return refused


@pytest.fixture
def opened(out: Path) -> Callable[[Mapping[str, Any]], RawDataset]:
    """Open what has been read into ``out``."""

    def read(manifest: Mapping[str, Any]) -> RawDataset:
        files = {name: out / column["file"] for name, column in manifest["columns"].items()}
        return RawDataset.open(manifest, files)

    return read


@pytest.fixture
def ids(out: Path) -> Callable[[], list[str]]:
    """Return the identifiers of what has been read into ``out``."""

    def read() -> list[str]:
        texts: list[str] = pq.read_table(out / "ids.parquet")["id"].to_pylist()
        return texts

    return read

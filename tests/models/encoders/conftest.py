"""Tiny models in a folder of `CULTIVAR_MODELS`, and items of each modality to read."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from huggingface_hub import constants
from PIL import Image
from transformers.utils import logging

from models.encoders.catalogue import find
from models.encoders.encode import Encoder
from models.encoders.folder import FOLDERS_VARIABLE
from models.encoders.spec import EncoderSpec
from tests.models.encoders import tiny

Load = Callable[..., Encoder]


class Items(list[bytes]):
    """Items in memory, as an encoder wants them."""

    def item(self, row: int) -> bytes:
        return self[row]


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub: what this machine has pulled is no part of a test."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model of every family."""
    folder = tmp_path_factory.mktemp("models")
    logging.disable_progress_bar()
    for name in tiny.MAKERS:
        tiny.make(name, folder / name)
    return folder


@pytest.fixture
def load(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a tiny model by its name, with fields of its spec."""
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tiny_models))

    def loaded(name: str, modality: str | None = None, **fields: object) -> Encoder:
        return Encoder.load(find(name), EncoderSpec(model=name, **fields), modality=modality)

    return loaded


@pytest.fixture(scope="session")
def pictures() -> Items:
    """35 PNGs of 4 × 4 coloured squares, of sizes that differ."""
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 256, (35, 4, 4, 3), dtype=np.uint8)
    sizes = rng.integers(20, 60, (35, 2)).tolist()
    return Items(_png(colours, size) for colours, size in zip(squares, sizes, strict=True))


@pytest.fixture(scope="session")
def recordings() -> Items:
    """35 WAVs of 0.2 to 1 s, at the models' rate."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(tiny.RATE // 5, tiny.RATE, 35)
    return Items(_wav(0.1 * rng.standard_normal(n)) for n in lengths)


@pytest.fixture(scope="session")
def texts() -> Items:
    """35 texts of 1 to 30 letters; the models read 14 of them."""
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz 0123456789")
    return Items("".join(rng.choice(letters, n)).encode() for n in rng.integers(1, 31, 35))


def decode_image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def decode_audio(data: bytes, rate: int) -> tuple[np.ndarray, int]:
    samples, found = soundfile.read(io.BytesIO(data), dtype="float32")
    assert found == rate
    return samples, rate


DECODE = {"image": decode_image, "audio": decode_audio, "text": None}


@pytest.fixture
def items(pictures: Items, recordings: Items, texts: Items) -> dict[str, Items]:
    return {"image": pictures, "audio": recordings, "text": texts}


@pytest.fixture
def vectors(items: dict[str, Items]) -> Callable[..., np.ndarray]:
    """Encodes all items of an encoder's modality, or the rows given."""

    def encoded(encoder: Encoder, rows: Sequence[int] | None = None) -> np.ndarray:
        modality = encoder.fingerprint["modality"]
        source = items[modality]
        rows = range(len(source)) if rows is None else rows
        return encoder.encode(source, rows, decode=DECODE[modality])

    return encoded


def _png(colours: np.ndarray, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(colours).resize(size, Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def _wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, tiny.RATE, "FLOAT", format="WAV")
    return file.getvalue()

"""Folders of raw files as the service takes them: a metadata table beside links to the files."""

import csv
import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from longtailed_digits import NAMES, write
from PIL import Image
from sklearn.datasets import load_digits

Rows = list[dict[str, str]]

VAL_DIGITS = 20

FEW, HELD_OUT = 10, 10
"""Paintings of each class to train on, and those to choose by; all others report."""


def digits(out: Path, seed: int) -> Path:
    """Write the demo's long tail of scikit-learn's digits as PNG files of 48 px; return the folder.

    Folders `train`, `val` and `test` hold a folder for each class.
    """
    rows = out.with_suffix(".npz")
    write(rows, seed)
    with np.load(rows, allow_pickle=False) as arrays:
        names = arrays["classes"].tolist()
        for split, suffix in (("train", ""), ("val", "_val"), ("test", "_test")):
            for number, (pixels, label) in enumerate(
                zip(arrays[f"x{suffix}"], arrays[f"y{suffix}"], strict=True)
            ):
                folder = out / split / names[label]
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{number:04}.png").write_bytes(_png(pixels, 48))
    return out


def few_digits(path: Path, shots: int, seed: int) -> Path:
    """Write a zip of scikit-learn's digits as PNG files of 16 px, few of each class to train on.

    Folders `train`, `val` and `test` hold a folder for each class: ``shots`` images of each to train on, 20
    to choose by, all others to report on.
    """
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for label, name in enumerate(NAMES):
            for place, row in enumerate(rng.permutation(np.flatnonzero(labels == label))):
                split = (
                    "train" if place < shots else "val" if place < shots + VAL_DIGITS else "test"
                )
                archive.writestr(f"{split}/{name}/{row:04}.png", _png(images[row], 16))
    return path


def _png(pixels: np.ndarray, side: int) -> bytes:
    """Return 64 intensities from 0 to 16 as an enlarged PNG."""
    image = Image.fromarray((pixels.reshape(8, 8) * (255 / 16)).astype(np.uint8))
    buffer = io.BytesIO()
    image.resize((side, side), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def few_paintings(data: Path, out: Path, seed: int) -> Path:
    """Link `pacs64` with few paintings to train on: the art domain as the low-resource subdomain.

    All photographs train. Of the paintings of each class, `FEW` train, `HELD_OUT` choose and the
    rest report, which are paintings alone.
    """
    rows = _table(data)
    paintings: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        row["split"] = "train"
        if row["domain"] != "photo":
            paintings[row["label"]].append(number)
    rng = np.random.default_rng(seed)
    for numbers in paintings.values():
        for place, number in enumerate(rng.permutation(numbers).tolist()):
            held = "val" if place < FEW + HELD_OUT else "test"
            rows[number]["split"] = "train" if place < FEW else held
    return _linked(data, rows, out)


def clips(data: Path, out: Path) -> Path:
    """Link `emodb16k` as it is: its table names the speaker of each clip."""
    return _linked(data, _table(data), out)


def _table(data: Path) -> Rows:
    with (data / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _linked(data: Path, rows: Rows, out: Path) -> Path:
    """Write metadata.csv and a link to each file that it names."""
    for row in rows:
        link = out / row["file_name"]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to((data / row["file_name"]).resolve())
    with (out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return out


def random_model(kind: str, folder: Path) -> Path:
    """Write an encoder of random weights: it shows the way from files to report, and no more.

    Args:
        kind: ``vit`` for images, ``whisper`` for audio.
        folder: where its config, preprocessing and weights go.
    """
    import torch  # noqa: PLC0415 - seconds, which the other examples need not wait for
    import transformers  # noqa: PLC0415

    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()
    sizes: Mapping[str, Any]
    if kind == "vit":
        sizes = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
        size = {"image_size": 48, "patch_size": 8, "intermediate_size": 192}
        model = transformers.ViTModel(transformers.ViTConfig(**sizes, **size))
        frame = {"height": 48, "width": 48}
        processor: Any = transformers.ViTImageProcessorPil(size=frame)
    else:
        heads: Sequence[str] = ("encoder_attention_heads", "decoder_attention_heads")
        layers = {"encoder_layers": 2, "decoder_layers": 1, "d_model": 96, "vocab_size": 64}
        width = {"encoder_ffn_dim": 192, "decoder_ffn_dim": 192, "pad_token_id": 0}
        tokens = {"bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
        config = transformers.WhisperConfig(**layers, **width, **tokens, **dict.fromkeys(heads, 4))
        model = transformers.WhisperModel(config)
        processor = transformers.WhisperFeatureExtractor()
    model.save_pretrained(folder, safe_serialization=True)
    processor.save_pretrained(folder)
    note = {"weights": "random, seed 0: it has learned nothing"}
    (folder / "note.json").write_text(json.dumps(note), encoding="utf-8")
    return folder

"""Images a second through a frozen encoder, beside the plain loop that anyone would write.

    python -m benchmarks.encode [--quick] [--data IMAGE…] [--seeds N] [--model FOLDER] [--rows N]
                                [--batch N] [--device NAME]

Data: image files, taken again until there are N; by default photographs that are made up, JPEGs of
500 × 375. The model is a folder of transformers; by default MobileNetV2 at 224 px with random weights,
which are as fast as any. The plain loop takes a batch, decodes it, prepares it and passes it through
the model, one after the other in one thread; ours decodes and prepares on threads while the model
runs, and passes a CPU a few images at a time. Both have the same decoder, processor, weights, batch and torch threads, and take turns, ours
first on every other; N seeds are N turns of each. The first batch of either is not counted.
`waited` is the share of time in which the model had nothing to do but wait for data.
With CUDA ours computes in bf16, as a job does, and the plain loop in float32, as plain code does.
Cost: about 2 minutes on two free cores.
Expect: on a CPU at least 1.5 times as many images a second, and vectors equal to 1e-3.
"""

import io
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from PIL import Image

from benchmarks.face import Face
from models.encoders.catalogue import Found, look
from models.encoders.encode import Encoder
from models.encoders.pooling import pooled_output
from models.encoders.spec import EncoderSpec
from models.raw.image import decode_image

GOAL = 1.5
ROWS, QUICK_ROWS, TURNS = 512, 24, 3
WIDTH, HEIGHT = 500, 375
NAMES = "ours", "plain loop"

Vectors = npt.NDArray[np.float32]
Turn = tuple[Vectors, float, float]
"""Vectors, seconds, and the share of them in which the model waited."""


class Pictures(list[bytes]):
    """Image files in memory, as an encoder wants its items."""

    def item(self, row: int) -> bytes:
        return self[row]


def made_up(rows: int) -> Pictures:
    """Return JPEGs of soft patches with grain: about as large as photographs of that size."""
    rng = np.random.default_rng(0)
    pictures = Pictures()
    for _ in range(min(rows, 64)):
        patches = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        soft = np.asarray(patches.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
        grain = soft + rng.normal(0, 6, (HEIGHT, WIDTH, 1))
        file = io.BytesIO()
        Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        pictures.append(file.getvalue())
    return again(pictures, rows)


def again(pictures: Pictures, rows: int) -> Pictures:
    """Return ``rows`` pictures, those given over and over."""
    return Pictures(pictures[row % len(pictures)] for row in range(rows))


def random_model(folder: Path) -> Path:
    """Write MobileNetV2 1.0 at 224 px with random weights; return ``folder``."""
    torch.manual_seed(0)
    transformers.MobileNetV2Model(transformers.MobileNetV2Config()).save_pretrained(folder)
    transformers.MobileNetV2ImageProcessorPil().save_pretrained(folder)
    return folder


class Plain:
    """The plain loop: `AutoModel` and `AutoImageProcessor`, a batch at a time."""

    def __init__(self, ours: Encoder) -> None:
        folder = ours.found.path
        self._ours = ours
        self._model: Any = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)
        self._model.eval().to(ours.device)
        self._processor: Any = transformers.AutoImageProcessor.from_pretrained(
            folder, backend="pil"
        )

    @torch.inference_mode()
    def turn(self, pictures: Pictures) -> Turn:
        began, data = time.perf_counter(), 0.0
        vectors = []
        for start in range(0, len(pictures), self._ours.spec.batch_rows):
            asked = time.perf_counter()
            images = [
                decode_image(one) for one in pictures[start : start + self._ours.spec.batch_rows]
            ]
            inputs = self._processor(images=images, return_tensors="pt").to(self._ours.device)
            data += time.perf_counter() - asked
            vectors.append(self._pooled(inputs).float().cpu().numpy())
        seconds = time.perf_counter() - began
        return np.concatenate(vectors), seconds, data / seconds

    def _pooled(self, inputs: Any) -> torch.Tensor:
        if hasattr(self._model, "get_image_features"):  # CLIP, SigLIP
            projected: torch.Tensor = self._model.get_image_features(**inputs).pooler_output
            return projected
        pooled = pooled_output(self._model(**inputs), None, self._ours.pooling)
        assert pooled is not None
        return pooled


def measure(found: Found, pictures: Pictures, given: Namespace, face: Face) -> dict[str, Any]:
    """Run both in turns; return the figures of each and the greatest difference of a value."""
    spec = EncoderSpec(model=found.id, batch_rows=given.batch)
    encoder = Encoder.load(found, spec, given.device, modality="image")
    plain = Plain(encoder)

    def ours(some: Pictures) -> Turn:
        began = time.perf_counter()
        vectors = encoder.encode(some, range(len(some)), decode=decode_image)
        return vectors, time.perf_counter() - began, encoder.waited

    ways: dict[str, Callable[[Pictures], Turn]] = dict(zip(NAMES, (ours, plain.turn), strict=True))
    for way in ways.values():
        way(Pictures(pictures[: given.batch]))
    rates: dict[str, list[float]] = {name: [] for name in NAMES}
    waited: dict[str, list[float]] = {name: [] for name in NAMES}
    last: dict[str, Vectors] = {}
    for turn in range(given.seeds):
        for name in NAMES if turn % 2 == 0 else reversed(NAMES):
            face.begin(f"turn {turn}: {name}")
            last[name], seconds, share = ways[name](pictures)
            rates[name].append(len(pictures) / seconds)
            waited[name].append(share)
    return {
        "images_per_second": {name: median(rates[name]) for name in NAMES},
        "waited": {name: median(waited[name]) for name in NAMES},
        "times": median(np.divide(rates[NAMES[0]], rates[NAMES[1]]).tolist()),
        "difference": float(np.abs(last[NAMES[0]] - last[NAMES[1]]).max()),
    }


def main() -> None:
    face = Face(__doc__, seeds=TURNS)
    face.parser.add_argument("--model", type=Path, help="a folder (default: a random MobileNetV2)")
    face.parser.add_argument("--rows", type=int, default=ROWS, help=f"images (default: {ROWS})")
    face.parser.add_argument("--batch", type=int, default=32, help="rows a batch (default: 32)")
    face.parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = face.parse()
    rows = min(given.rows, QUICK_ROWS) if given.quick else given.rows
    torch.set_num_threads(1)  # as a worker's child has
    with tempfile.TemporaryDirectory(prefix="cultivar-encode-") as scratch:
        found = look("measured", given.model or random_model(Path(scratch)))
        if found is None:
            raise SystemExit(f"--model: {given.model} is no model with safetensors")
        files = Pictures(path.read_bytes() for path in given.data)
        pictures = again(files, rows) if files else made_up(rows)
        measured = measure(found, pictures, given, face)
    face.table(
        ["way", "images a second", "waited for data"],
        [[name, measured["images_per_second"][name], measured["waited"][name]] for name in NAMES],
    )
    face.finish(
        {
            "model": given.model.name if given.model else "MobileNetV2 1.0, random weights",
            "images": rows,
            "batch": given.batch,
            "device": given.device,
            **measured,
            "goal_times": GOAL,
            "reached": measured["times"] >= GOAL,
            "quick": given.quick,
        }
    )


if __name__ == "__main__":
    main()

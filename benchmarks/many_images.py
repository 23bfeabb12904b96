"""Many small images into the service and through an encoder: what the API and the workers take.

    python -m benchmarks.many_images [--quick] [--data FILE.zip] [--seeds N] [--folder FOLDER]

100,000 JPEG files of 32 px in ten class folders (made up as they are written, some 80 MB; or the zip
given) are uploaded to a service of its own as a dataset of images, and an `embed` job takes them through a ViT of
two blocks made from its config, with random weights: what is measured is the way, not the model. All the while
the resident memory of the process that answers is read, and of the worst of the worker processes,
the decoding one among them, pages of memory-mapped files included.
Needs Linux. Cost: ten minutes on one free core. Expect: the API below 256 MB, a worker below 3 GB.
"""

import io
import tempfile
import time
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.face import Face
from benchmarks.memory import GB, LIMIT_GB, Workers
from benchmarks.upload import MB, Memory, service
from cultivar import Client
from cultivar.specs import Embed, EncoderSpec

API_LIMIT_MB = 256
IMAGES, QUICK_IMAGES, CLASSES, SIDE = 100_000, 300, 10, 32
MODEL = "vit-of-random-weights"


def write_images(path: Path, images: int, seed: int, face: Face) -> None:
    """Write a zip of JPEG files of noise around a colour a class."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(40, 216, (CLASSES, 3))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(images):
            label = number % CLASSES
            noise = rng.normal(0, 40, (SIDE, SIDE, 3))
            pixels = np.clip(colours[label] + noise, 0, 255).astype(np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG")
            archive.writestr(f"class-{label}/{number:06}.jpg", file.getvalue())
            face.progress(number + 1, images)


def write_model(folder: Path) -> None:
    """Write a small ViT of random weights as transformers keeps it."""
    import torch  # noqa: PLC0415 - not needed to be told the options
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel  # noqa: PLC0415

    torch.manual_seed(0)
    frame = {"image_size": SIDE, "patch_size": 8, "intermediate_size": 128}
    heads = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ViTModel(ViTConfig(**frame, **heads)).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)


def measure(source: Path | None, seed: int, given: Namespace, face: Face) -> dict[str, Any]:
    """Upload and embed once, in a service of its own; return the figures of one row."""
    with tempfile.TemporaryDirectory(prefix="cultivar-images-", dir=given.folder) as name:
        folder = Path(name)
        write_model(folder / "models" / MODEL)
        path = source or folder / "images.zip"
        if source is None:
            images = QUICK_IMAGES if given.quick else IMAGES
            face.begin(f"write {images:,} images")
            write_images(path, images, seed, face)
        began = time.monotonic()
        models = {"CULTIVAR_MODELS": str(folder / "models")}
        with (
            service(folder, models) as (http, pid),
            Memory(pid) as api,
            Workers(pid) as workers,
        ):
            key = http.headers["Authorization"].removeprefix("Bearer ")
            with Client(str(http.base_url), key) as client:
                rows = _run(client, path, workers, face)
    peaks = {phase: peak.resident / GB for phase, peak in workers.peaks.items()}
    return {
        "data": path.name,
        "rows": rows,
        "api_mb": api.peak / MB,
        "worker_gb": max(peaks.values()),
        "phases": peaks,
        "seconds": time.monotonic() - began,
    }


def _run(client: Client, path: Path, workers: Workers, face: Face) -> int:
    face.begin("upload and read")
    workers.phase = "dataset"
    dataset = client.datasets.upload(path, modality="image", progress=False)
    dataset.wait(progress=False)
    face.begin("encode")
    workers.phase = "encode"
    job = client.jobs.create(Embed(dataset=dataset, encoder=EncoderSpec(model=MODEL)))
    made = job.wait(progress=False).dataset
    face.end()
    assert made.manifest is not None
    return int(made.manifest["rows"])


def main() -> None:
    face = Face(__doc__)
    face.parser.add_argument("--folder", type=Path, help="whose disk is used (default: temporary)")
    given = face.parse()
    sources: list[Path | None] = [*given.data] or [None]
    rows = [measure(one, seed, given, face) for one in sources for seed in range(given.seeds)]
    face.table(
        ["data", "images", "API MB", "worker GB", "seconds"],
        [[r["data"], r["rows"], r["api_mb"], r["worker_gb"], r["seconds"]] for r in rows],
    )
    api, worker = (max(row[name] for row in rows) for name in ("api_mb", "worker_gb"))
    face.finish(
        {
            "api_mb": api,
            "worker_gb": worker,
            "api_limit_mb": API_LIMIT_MB,
            "worker_limit_gb": LIMIT_GB,
            "reached": api < API_LIMIT_MB and worker < LIMIT_GB,
            "quick": given.quick,
            "rows": rows,
        }
    )


if __name__ == "__main__":
    main()

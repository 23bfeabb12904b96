"""A classifier as one ONNX file, held against torch before it is handed out."""

import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch

from models.images.classifier import ImageClassifier, Images

TOLERANCE = 1e-3
"""The largest difference of a logit that is let through, relative to the largest logit, or to 1."""

INPUT, OUTPUT = "images", "logits"


def export(classifier: ImageClassifier, path: Path, sample: Images) -> float:
    """Write ``classifier`` as ONNX; return the largest difference of its logits to torch's.

    It reads `images`, uint8 (n, side, side, 3) with n free, normalisation inside, and gives `logits`,
    float32 (n, classes). The names of the classes are in its metadata, as JSON under `classes`. The
    file appears whole, and only once onnxruntime has given the same logits as torch.

    Args:
        classifier: on any device.
        path: of the file.
        sample: images to compare on, at least one.

    Returns:
        The difference relative to the largest logit, or to 1 if that is smaller.

    Raises:
        RuntimeError: the difference is above `TOLERANCE`.
        ValueError: no image to compare on, or of another shape.
    """
    if not len(sample):
        raise ValueError("expected at least one image to compare on")
    expected = classifier.logits(sample)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _write(classifier, partial, sample)
        found = _run(partial, sample)
        difference = float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))
        if not difference <= TOLERANCE:
            raise RuntimeError(
                f"ONNX gives other logits than torch: they differ by {difference:.2g} of the "
                f"largest, where {TOLERANCE:g} is let through"
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return difference


def _write(classifier: ImageClassifier, path: Path, sample: Images) -> None:
    model = copy.deepcopy(classifier.model).to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    # Of two images: a batch of one would be taken for a constant.
    example = torch.from_numpy(np.ascontiguousarray(sample[[0, -1]]))
    with _quiet():
        torch.onnx.export(
            model.eval(),
            (example,),
            path,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    made = onnx.load(path)
    about = {"classes": json.dumps(classifier.classes, ensure_ascii=False)}
    onnx.helper.set_model_props(made, about)
    onnx.save(made, path)


def _run(path: Path, sample: Images) -> npt.NDArray[np.float32]:
    """Return the logits of all images but the first in one batch, and of the first alone."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    parts = [part for part in (sample[:1], sample[1:]) if len(part)]
    return np.concatenate([session.run([OUTPUT], {INPUT: part})[0] for part in parts])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what exporters print, warn and log of their own working from a worker's output."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)

"""The classifier that a job on images hands out: weights, settings, ONNX that was checked, and a card."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.evaluation.arms import Method, labels_of
from models.evaluation.result import HandedOut
from models.images.classifier import ImageClassifier
from models.images.onnx import export
from workers.pipelines.image_classifiers import load_classifier
from workers.pipelines.image_jobs import ImageJob
from workers.pipelines.manifest import write_card

_COMPARED = 64
"""Training images on which ONNX is held against torch."""


def classifier_effects(
    job: ImageJob, found: HandedOut, report: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return files and config of the classifier; `report` is None where nothing was measured."""
    task = job.task
    files = next(
        one["files"]
        for one in task.claim.earlier["classify"]
        if (one["arm"], one["seed"]) == (found.arm, found.seed)
    )
    classifier = load_classifier(task, files)
    folder = task.scratch / "handed"
    classifier.save(folder)
    compared = np.array(job.train.x[:_COMPARED])
    difference = export(classifier, folder / "classifier.onnx", compared)
    write_card(
        folder / "card.md",
        "Classifier on images",
        _card(job.method, classifier, found, difference, report),
    )
    told = {
        "method": "image_classifier",
        "trained_on": found.arm,
        "onnx": {"largest_difference": difference, "images": len(compared)},
        "external_weights": job.external_weights,
    }
    return {"files": task.keep_folder(folder), "config": classifier.config | told}


def _card(
    method: Method,
    classifier: ImageClassifier,
    found: HandedOut,
    difference: float,
    report: Mapping[str, Any] | None,
) -> dict[str, str]:
    spec, side = classifier.spec, classifier.side
    arm = labels_of(method)[found.arm]
    on = f"real and synthetic images ({method.label})" if found.arm == method.name else arm
    chosen = "validation chose it" if found.val_scores else "nothing was measured"
    held_out = (
        report["verdict"]["sentence"] if report else "Not measured: evaluate was switched off."
    )
    return {
        "What this is": (
            f"{spec.backbone or spec.network} on images of {side} × {side} pixels, for "
            f"{classifier.n_classes} classes; trained on {on}; {chosen}. The normalisation of pixels is "
            "inside."
        ),
        "How to use it": (
            "`cultivar.load_classifier(folder).predict(images)` runs `classifier.onnx` without torch; "
            "`models.images.classifier.ImageClassifier.load(folder)` loads `classifier.safetensors` with "
            f"`config.json` into torch. Both gave the same logits to {difference:.1g} of the largest."
        ),
        "Held-out results": held_out,
        "Limits": "\n\n".join(report["caveats"]) if report else "",
    }

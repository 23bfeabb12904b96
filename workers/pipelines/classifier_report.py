"""What a `classifier` job says about its heads: figures on held-out rows, verdict first."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evaluation.interval import paired_interval
from models.evaluation.metrics import Metric, accuracy, balanced_accuracy, shot_groups
from models.evaluation.verdict import too_little

Labels = npt.NDArray[np.integer[Any]]

REAL, MIXED = "real", "real and synthetic"


def report_on(
    predictions: Mapping[str, Labels],
    y: Labels,
    *,
    train_counts: Labels,
    metric: Metric,
    groups: Labels | None,
) -> dict[str, Any]:
    """Return the held-out figures of each arm, and the interval between them; shares are 0 to 1.

    Args:
        predictions: arm → int64 seeds × n.
        y: class of each test row, n.
        train_counts: real training rows of each class.
        metric: what the verdict is about.
        groups: group of each test row, n.
    """
    if not len(y):
        return {"methods": {}, "interval": None, "verdict": "Not measured: no row is held out."}
    correct = {name: predicted == y for name, predicted in predictions.items()}
    methods = {
        name: {
            "accuracy": accuracy(right),
            "balanced_accuracy": _balanced(right, y, len(train_counts)),
        }
        | {
            group: _balanced(right, y, len(train_counts), labels)
            for group, labels in shot_groups(train_counts).items()
        }
        for name, right in correct.items()
    }
    interval = None
    if MIXED in correct:
        found = paired_interval(correct[MIXED], correct[REAL], y, groups=groups, metric=metric)
        interval = {"mean": found.mean, "low": found.low, "high": found.high}
    return {
        "format": "cultivar-classifier-report/1",
        "verdict": too_little(y) or _verdict(interval, metric, methods),
        "metric": metric,
        "seeds": len(next(iter(correct.values()))),
        "methods": methods,
        "interval": interval,
        "test_rows": len(y),
    }


def _balanced(
    right: npt.NDArray[np.bool_], y: Labels, n_classes: int, labels: Labels | None = None
) -> float | None:
    value = balanced_accuracy(right, y, n_classes, labels)
    return value if np.isfinite(value) else None


def _verdict(interval: dict[str, float] | None, metric: str, methods: dict[str, Any]) -> str:
    words = metric.replace("_", " ")
    if interval is None:
        return f"Trained on real rows alone: {methods[REAL][metric]:.1%} {words} on the test rows."
    low, high = 100 * interval["low"], 100 * interval["high"]
    change = (
        f"{100 * interval['mean']:+.1f} points of {words} (95 % interval {low:+.1f} to {high:+.1f})"
    )
    if low > 0:
        return f"The synthetic rows help: {change} over real rows alone."
    if high < 0:
        return f"The synthetic rows harm: {change} against real rows alone."
    return f"No gain was shown: {change} against real rows alone."


def card_sections(fitted: Mapping[str, Any]) -> dict[str, str]:
    """Return the sections of the checkpoint's card."""
    config, report = fitted["config"], fitted["report"]
    spec = config["spec"]
    rows = [
        f"| {name} | "
        + " | ".join("–" if v is None else f"{v:.1%}" for v in figures.values())
        + " |"
        for name, figures in report["methods"].items()
    ]
    columns = "| trained on | accuracy | balanced accuracy | many | medium | few |"
    table = "\n".join([columns, "| --- | --- | --- | --- | --- | --- |", *rows])
    return {
        "Held-out results": f"{report['verdict']}\n\n{table if rows else ''}",
        "What this is": (
            f"A {spec['head']} head ({spec['loss']}) from embeddings of {config['dim']} dimensions to "
            f"{config['n_classes']} classes, trained on: {config['trained_on']}."
        ),
        "Limits": "\n\n".join(report["caveats"]),
    }

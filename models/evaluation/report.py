"""`report.json`: the verdict first, then all that it rests on. Figures are percent or points."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from models.evaluation import domains
from models.evaluation.arms import REAL
from models.evaluation.caveats import caveats
from models.evaluation.comparing import UNSEEN, unseen_cells, unseen_recall
from models.evaluation.fidelity import Fidelity
from models.evaluation.interval import DRAWS
from models.evaluation.metrics import accuracy, balanced_accuracy, recalls, shot_groups
from models.evaluation.points import in_points, percent
from models.evaluation.release import Release
from models.evaluation.result import HandedOut, Result
from models.evaluation.verdict import verdict

SCHEMA = "cultivar-report/1"
COLUMNS = ("all", "many", "medium", "few", "balanced")
"""Of every report; one whose test rows are of unseen cells has `unseen` as well."""
RULES = {"many": "more than 100", "medium": "20 to 100", "few": "fewer than 20"}
"""Training rows of a class in each group."""

CURVE_POINTS = 400
"""Points of the training curve that are kept."""


@dataclass(frozen=True)
class Context:
    """What the report tells beside what evaluation found.

    Attributes:
        seed: the job's.
        spec: the resolved spec, as JSON.
        history: (step, loss) of the generator's training.
        too_small: classes without a row in `train`, `val` or `test`.
        made_splits: which of `val` and `test` the service cut itself.
        facts: anything else worth keeping (dataset, versions, device), as JSON. The page draws a table of
            `compute`, and of `filters`: a list of `name`, `dropped`, `share` (0 to 1) and `sentence`.
        fidelity: of the synthetic rows against `test`.
        release: what was judged, where the job had conditions.
        cautions: caveats of the method's own, which come first.
    """

    seed: int = 0
    spec: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[tuple[int, float]] = ()
    too_small: Sequence[str] = ()
    made_splits: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    fidelity: Fidelity | None = None
    release: Release | None = None
    cautions: Sequence[str] = ()


def build(result: Result, context: Context) -> dict[str, Any]:
    """The report as JSON: no NaN, an absent group's figure is null."""
    groups, rows = shot_groups(result.data.train_counts), f"{result.method.row}s"
    return {
        "schema": SCHEMA,
        "verdict": verdict(result),
        "method": asdict(result.method),
        "release": context.release and context.release.as_json(),
        "table": {
            "columns": _columns(result),
            "unit": "percent, mean over seeds",
            "groups": {
                name: {"classes": len(labels), "rule": f"{RULES[name]} training {rows}"}
                for name, labels in groups.items()
            },
            "rows": [_table_row(result, name) for name in result.arms],
        },
        "comparisons": [_comparison(result, name) for name in result.intervals],
        "interval": (
            f"95 %, paired, hierarchical bootstrap with {DRAWS} draws over "
            f"{result.seeds} seed{'' if result.seeds == 1 else 's'} and, "
            + (
                f"within class, over test {rows}"
                if result.data.test.group is None
                else f"where one lies within a class, within class, over groups of test {rows}"
            )
        ),
        "choice": result.choice.as_json() | {"metric": result.metric},
        "per_class": _per_class(result),
        "per_cell": _per_cell(result),
        **_per_subdomain(result),
        "fidelity": context.fidelity and context.fidelity.as_json(),
        "splits": _splits(result, context),
        "training": {"steps_and_losses": _thinned(context.history)},
        "classifier": _classifier(result.handed_out),
        "caveats": [
            *context.cautions,
            *caveats(result, context.too_small, context.fidelity),
        ],
        "seed": context.seed,
        "seeds": result.seeds,
        "spec": dict(context.spec),
        "facts": dict(context.facts),
    }


def _classifier(found: HandedOut) -> dict[str, Any]:
    told: dict[str, Any] = {
        "trained_on": found.arm,
        "val_scores": {name: round(100 * value, 2) for name, value in found.val_scores.items()},
        "spec": dict(found.spec),
    }
    if found.log_scores:
        told["log_scores"] = {name: round(value, 4) for name, value in found.log_scores.items()}
    return told


def _table_row(result: Result, name: str) -> dict[str, Any]:
    arm, right, y = result.arms[name], result.correct(name), result.data.test.y
    n_classes = len(result.data.classes)
    values = {"all": accuracy(right)}
    for group, labels in shot_groups(result.data.train_counts).items():
        values[group] = balanced_accuracy(right, y, n_classes, labels)
    values["balanced"] = balanced_accuracy(right, y, n_classes)
    if UNSEEN in _columns(result):
        values[UNSEEN] = unseen_recall(result.data, right)
    return {
        "name": name,
        "label": arm.label,
        "values": {column: percent(value) for column, value in values.items()},
        "rows_added": arm.rows_added,
        "share": arm.share,
        "seeds": len(arm.predictions),
    }


def _comparison(result: Result, name: str) -> dict[str, Any]:
    found = result.intervals[name]
    main = found["all" if result.metric == "accuracy" else "balanced"]
    return {
        "control": name,
        "label": result.arms[name].label,
        **in_points(main),
        "columns": {column: in_points(found[column]) for column in found},
    }


def _per_class(result: Result) -> list[dict[str, Any]]:
    """Recall on real rows alone and with the method's, a class each; null without a test row."""
    data, n = result.data, len(result.data.classes)
    before, after = (
        recalls(result.correct(name), data.test.y, n).mean(axis=0)
        for name in (REAL, result.method.name)
    )
    test_counts = np.bincount(data.test.y, minlength=n)
    group = {int(c): name for name, cs in shot_groups(data.train_counts).items() for c in cs}
    return [
        {
            "class": data.classes[label],
            "group": group[label],
            "train_rows": int(data.train_counts[label]),
            "test_rows": int(test_counts[label]),
            "real": percent(float(before[label])),
            "method": percent(float(after[label])),
            "gain": percent(float(after[label] - before[label])),
        }
        for label in range(n)
    ]


def _columns(result: Result) -> list[str]:
    return [*COLUMNS, *([UNSEEN] if unseen_cells(result.data) is not None else [])]


def _per_cell(result: Result) -> list[dict[str, Any]] | None:
    """Recall a cell with test rows, seen and unseen; null where nothing is conditioned on them."""
    data = result.data
    if not data.subdomains:
        return None
    cells, n = data.cells(data.test), len(data.cell_counts)
    before, after = (
        recalls(result.correct(name), cells, n).mean(axis=0) for name in (REAL, result.method.name)
    )
    return [
        {
            "class": data.classes[cell // data.parts_a_class],
            "subdomain": data.subdomains[cell % data.parts_a_class],
            "train_rows": int(data.cell_counts[cell]),
            "test_rows": int((cells == cell).sum()),
            "real": percent(float(before[cell])),
            "method": percent(float(after[cell])),
        }
        for cell in np.unique(cells)
    ]


def _per_subdomain(result: Result) -> dict[str, Any]:
    """Accuracy by domain, of methods that make images; no such key where the images have no domains."""
    found = domains.as_json(result)
    return {} if found is None else {"per_subdomain": found}


def _splits(result: Result, context: Context) -> dict[str, Any]:
    parts = {"train": result.data.train, "val": result.data.val, "test": result.data.test}
    return {
        "rows": {n: result.data.whole.get(n, len(part.y)) for n, part in parts.items()},
        "sampled": {n: len(parts[n].y) for n in result.data.whole},
        "made_here": list(context.made_splits),
        "by_group": result.data.test.group is not None,
        "classes_too_small": list(context.too_small),
    }


def _thinned(history: Sequence[tuple[int, float]]) -> list[list[float]]:
    """At most `CURVE_POINTS` points, each the mean of a run of steps: the curve, not its noise."""
    if not history:
        return []
    runs = np.array_split(np.asarray(history, dtype=np.float64), min(CURVE_POINTS, len(history)))
    means = (run[np.isfinite(run).all(axis=1)] for run in runs)
    return [[float(run[-1, 0]), float(run[:, 1].mean())] for run in means if len(run)]

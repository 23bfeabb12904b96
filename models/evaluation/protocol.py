"""Reported on `test`: heads on real rows, with synthetic ones, with the rivals'.

All arms have the same real rows, optimiser steps and seeds; they differ in the rows they add.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from models.classifiers.head import Head
from models.classifiers.spec import HeadSpec
from models.evaluation.choosing import TUNED, penalised
from models.evaluation.controls import (
    AUGMENTING,
    classes_of_one,
    label_shift,
    nearest_class_mean,
)
from models.evaluation.interval import Interval, Resampled, paired_interval
from models.evaluation.metrics import Metric, shot_groups
from models.evaluation.result import (
    LABELS,
    METHOD,
    REAL,
    Arm,
    Choice,
    Counts,
    Draw,
    EvaluationData,
    LabelledRows,
    Labels,
    Latents,
    Result,
)
from models.evaluation.spec import EvaluateSpec
from models.evaluation.trainer import Progress, Trainer, first_rows, items, share_of


def evaluate(
    data: EvaluationData,
    synthetic: tuple[Latents, Labels],
    choice: Choice,
    *,
    head: HeadSpec,
    spec: EvaluateSpec,
    seed: int,
    generators: Mapping[str, Draw] | None = None,
    given: Mapping[str, tuple[str, npt.NDArray[np.int64]]] | None = None,
    device: str = "cpu",
    on_progress: Progress = lambda _done, _total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Train every arm on `train`, predict `test`, compare each with GeLDA.

    Args:
        data: the parted real rows.
        synthetic: latents of the whole plan at the chosen temperature, and their labels; of each
            class the chosen share is used, in the order given.
        choice: what `choose` found.
        head: the head and its training.
        spec: controls, seeds and metric.
        seed: the job's.
        generators: for `one_hot` and `shuffled_vectors`: the same generator trained with them.
        given: other predictions for the test rows, by name: a label and int64 `n` or `seeds n`.
        device: where heads are trained.
        on_progress: called with heads trained and heads in all.
        should_stop: read every step; raises Interrupted.

    Raises:
        ValueError: `test` has no row.
    """
    if not len(data.test.y):
        raise ValueError("there is no test row to report on")
    trainer = Trainer(
        data, head, seeds=spec.seeds, seed=seed, device=device,
        on_progress=on_progress, should_stop=should_stop,
    )  # fmt: skip
    plan = np.bincount(synthetic[1], minlength=len(data.classes)).astype(np.int64)
    generators = {k: v for k, v in (generators or {}).items() if k in spec.controls}
    adding = sum(name in (*AUGMENTING, TUNED) for name in spec.controls) + len(generators)
    shift = "label_shift" in spec.controls and head.loss != "cross_entropy"
    trainer.expected = spec.seeds * (2 + adding + shift)
    real = trainer.fit()
    rows = first_rows(synthetic[1], share_of(plan, choice.share))
    added = synthetic[0][rows].astype(np.float32), synthetic[1][rows].astype(np.int64)
    mixed = trainer.fit(lambda _seed: added)
    arms = [
        _arm(REAL, real, data),
        _arm(METHOD, mixed, data, rows_added=len(rows), share=choice.share),
        *_controls(trainer, real, plan, choice, spec),
        *_generated(trainer, plan, choice, generators),
        *(Arm(name, label, np.atleast_2d(said)) for name, (label, said) in (given or {}).items()),
    ]
    scores = {
        name: trainer.on_val(heads, spec.metric) if len(data.val.y) else [0.0] * len(heads)
        for name, heads in ((METHOD, mixed), (REAL, real))
    }
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    best = max(means, key=lambda name: means[name])
    chosen = {METHOD: mixed, REAL: real}[best][int(np.argmax(scores[best]))]
    repeated = classes_of_one(data.train.y, len(data.classes)) if "smote" in spec.controls else []
    by_name = {arm.name: arm for arm in arms}
    return Result(
        data=data,
        metric=spec.metric,
        seeds=spec.seeds,
        arms=by_name,
        intervals=_intervals(data, by_name),
        choice=choice,
        head=chosen,
        head_arm=best,
        val_scores=means if len(data.val.y) else {},
        val_gain=_gain(mixed, real, data.val, spec.metric) if len(data.val.y) else None,
        repeated_classes=tuple(data.classes[label] for label in repeated),
    )


def _gain(
    mixed: Sequence[Head], real: Sequence[Head], part: LabelledRows, metric: Metric
) -> Interval:
    after, before = (
        np.stack([head.predict(part.x) == part.y for head in heads]) for heads in (mixed, real)
    )
    return paired_interval(after, before, part.y, groups=part.group, metric=metric)


def _arm(
    name: str,
    heads: Sequence[Head],
    data: EvaluationData,
    *,
    rows_added: int = 0,
    share: float | None = None,
) -> Arm:
    said = np.stack([head.predict(data.test.x) for head in heads])
    return Arm(name, LABELS[name], said, rows_added, share)


def _controls(
    trainer: Trainer, real: Sequence[Head], plan: Counts, choice: Choice, spec: EvaluateSpec
) -> Iterator[Arm]:
    data = trainer.data
    for name in spec.controls:
        if name in AUGMENTING:
            share = choice.control_shares.get(name, 1.0)
            counts = share_of(plan, share)
            heads = trainer.fit(trainer.augmented(name, counts))
            counts = np.where(data.train_counts > 0, counts, 0)
            yield _arm(name, heads, data, rows_added=int(counts.sum()), share=share)
        elif name == TUNED:
            tuned = penalised(trainer.spec, choice.penalty, len(data.train.y))
            yield _arm(name, trainer.fit(head=tuned), data)
        elif name == "label_shift":
            plain = trainer.spec.model_copy(update={"loss": "cross_entropy"})
            # A logit-adjusted head has the prior taken out already; shift a plain one instead.
            heads = list(real) if trainer.spec == plain else trainer.fit(head=plain)
            said = [label_shift(h.logits(data.test.x), data.train_counts).argmax(1) for h in heads]
            yield Arm(name, LABELS[name], np.stack(said))
        elif name == "nearest_class_mean":
            said = [nearest_class_mean(data.train.x, data.train.y, data.test.x, len(data.classes))]
            yield Arm(name, LABELS[name], np.stack(said))


def _generated(
    trainer: Trainer, plan: Counts, choice: Choice, generators: Mapping[str, Draw]
) -> Iterator[Arm]:
    labels, counters = items(share_of(plan, choice.share))
    for name, draw in generators.items():
        x = np.asarray(draw(labels, counters, choice.temperature), dtype=np.float32)
        heads = trainer.fit(lambda _seed, x=x: (x, labels))  # type: ignore[misc]
        yield _arm(name, heads, trainer.data, rows_added=len(labels), share=choice.share)


def _intervals(data: EvaluationData, arms: Mapping[str, Arm]) -> dict[str, dict[str, Interval]]:
    """GeLDA minus each other arm: all, many, medium, few, balanced; a draw serves all five."""
    test = data.test
    right = {name: arm.predictions == test.y for name, arm in arms.items()}
    found = {}
    for name in arms:
        if name == METHOD:
            continue
        resampled = Resampled.of(right[METHOD], right[name], test.y, groups=test.group)
        found[name] = {
            "all": resampled.interval("accuracy"),
            **{
                group: resampled.interval("balanced_accuracy", labels)
                for group, labels in shot_groups(data.train_counts).items()
            },
            "balanced": resampled.interval("balanced_accuracy"),
        }
    return found

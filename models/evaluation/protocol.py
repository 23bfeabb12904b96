"""Reported on `test`: heads on real rows, with synthetic ones, with the rivals'.

All arms have the same real rows, and chose their settings on the same validation rows; they differ
in the rows they add, or in the loss where that is the arm.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.classifiers.head import Head
from models.classifiers.spec import HeadSpec
from models.evaluation.arms import (
    ADJUSTED,
    GELDA,
    LABEL_SHIFT,
    LABELS,
    NEAREST_MEAN,
    REAL,
    SAME_HEAD,
)
from models.evaluation.choosing import adding
from models.evaluation.comparing import compared
from models.evaluation.controls import (
    classes_of_one,
    label_shift,
    nearest_class_mean,
)
from models.evaluation.data import Counts, Draw, EvaluationData, LabelledRows, Labels, Latents
from models.evaluation.interval import Interval, paired_interval
from models.evaluation.metrics import Metric
from models.evaluation.result import Arm, HandedOut, Result
from models.evaluation.rivals import applicable, trains
from models.evaluation.settings import Choice, Setting
from models.evaluation.spec import EvaluateSpec
from models.evaluation.trainer import InitialHead, Progress, Trainer, first_rows, items, share_of


@dataclass(frozen=True, kw_only=True)
class HeadResult(Result):
    """What is found where heads on latents are trained.

    Attributes:
        head: the one that is handed out.
    """

    head: Head


def evaluate(
    data: EvaluationData,
    synthetic: tuple[Latents, Labels],
    choice: Choice,
    *,
    head: HeadSpec,
    spec: EvaluateSpec,
    seed: int,
    generators: Mapping[str, Draw] | None = None,
    initial: InitialHead | None = None,
    device: str = "cpu",
    on_progress: Progress = lambda _done, _total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> HeadResult:
    """Train every arm on `train`, predict `test`, compare each with GeLDA.

    Args:
        data: the parted real rows, latents of the chosen layer.
        synthetic: latents Z^(l) of the whole plan at the chosen setting, and their cells; of each
            cell the chosen share is used, in the order given.
        choice: what `choose` found.
        head: the head and its training.
        spec: controls, seeds and metric.
        seed: the job's.
        generators: for the arms of `arms.REDRAWN`: the generator trained with less meaning.
        initial: weights and bias that came with the embeddings.
        device: where heads are trained.
        on_progress: called with heads trained and heads in all.
        should_stop: read every step; raises Interrupted.

    Raises:
        ValueError: `test` has no row.
    """
    if not len(data.test.y):
        raise ValueError("there is no test row to report on")
    trainer = Trainer(
        data, head, seeds=spec.seeds, seed=seed, initial=initial, device=device,
        on_progress=on_progress, should_stop=should_stop,
    )  # fmt: skip
    wanted = applicable(data, head, spec)
    generators = {name: draw for name, draw in (generators or {}).items() if name in wanted}
    trainer.expected = spec.seeds * (2 + sum(trains(name) for name in wanted) + len(generators))
    plan = np.bincount(synthetic[1], minlength=len(data.cell_counts)).astype(np.int64)
    real = trainer.fit(REAL, choice.of(REAL))
    mixed, rows_added = _mixed(trainer, synthetic, plan, choice.of(GELDA.name))
    arms = [
        _arm(REAL, real, data),
        _arm(GELDA.name, mixed, data, rows_added=rows_added, share=choice.of(GELDA.name).share),
        *_controls(trainer, real, plan, choice, wanted),
        *_redrawn(trainer, plan, choice.of(GELDA.name), generators),
    ]
    by_name = {arm.name: arm for arm in arms}
    best, chosen, scores = _handed_out({GELDA.name: mixed, REAL: real}, trainer, spec)
    repeated = classes_of_one(data.train.y, len(data.classes)) if "smote" in wanted else []
    return HeadResult(
        method=GELDA,
        data=data,
        metric=spec.metric,
        seeds=spec.seeds,
        arms=by_name,
        intervals=compared(data, by_name, GELDA),
        choice=choice,
        head=chosen,
        handed_out=HandedOut(best, chosen.spec.model_dump(mode="json"), scores),
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


def _mixed(
    trainer: Trainer, synthetic: tuple[Latents, Labels], plan: Counts, setting: Setting
) -> tuple[list[Head], int]:
    rows = first_rows(synthetic[1], share_of(plan, setting.share))
    x = synthetic[0][rows].astype(np.float32)
    y = synthetic[1][rows].astype(np.int64) // trainer.data.parts_a_class
    return trainer.fit(GELDA.name, setting, (x, y)), len(rows)


def _handed_out(
    arms: Mapping[str, Sequence[Head]], trainer: Trainer, spec: EvaluateSpec
) -> tuple[str, Head, dict[str, float]]:
    """Return the arm that is best on `val`, its best head and the scores; GeLDA's without `val`."""
    if not len(trainer.data.val.y):
        return GELDA.name, arms[GELDA.name][0], {}
    values = {name: trainer.on_val(heads, spec.metric) for name, heads in arms.items()}
    means = {name: float(np.mean(scores)) for name, scores in values.items()}
    best = max(means, key=lambda name: means[name])
    return best, arms[best][int(np.argmax(values[best]))], means


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
    trainer: Trainer, real: Sequence[Head], plan: Counts, choice: Choice, wanted: Sequence[str]
) -> Iterator[Arm]:
    data = trainer.data
    for name in wanted:
        setting = choice.of(name)
        if name in (ADJUSTED, SAME_HEAD):
            yield _arm(name, trainer.fit(name, setting), data)
        elif trains(name):
            add = trainer.augmented(name, share_of(plan, setting.share))
            heads = trainer.fit(name, setting, add)
            added = len(add(trainer.seeds[0])[1])
            yield _arm(name, heads, data, rows_added=added, share=setting.share)
        elif name == LABEL_SHIFT:
            prior = np.bincount(data.train.y, minlength=len(data.classes)).astype(np.int64)
            said = [label_shift(h.logits(data.test.x), prior).argmax(1) for h in real]
            yield Arm(name, LABELS[name], np.stack(said))
        elif name == NEAREST_MEAN:
            said = [nearest_class_mean(data.train.x, data.train.y, data.test.x, len(data.classes))]
            yield Arm(name, LABELS[name], np.stack(said))


def _redrawn(
    trainer: Trainer, plan: Counts, setting: Setting, generators: Mapping[str, Draw]
) -> Iterator[Arm]:
    """Rivals with less meaning: GeLDA's own setting, its own number of rows."""
    added = len(items(share_of(plan, setting.share))[0])
    for name, draw in generators.items():
        add = adding(GELDA.name, trainer, draw, plan, setting)
        heads = trainer.fit(GELDA.name, setting, add)
        yield _arm(name, heads, trainer.data, rows_added=added, share=setting.share)

"""What validation decides: temperature, share of the plan, and each rival's own setting."""

from collections.abc import Callable, Sequence

import numpy as np

from models.classifiers.spec import HeadSpec
from models.classifiers.train import weight_decay
from models.evaluation.controls import AUGMENTING, Added
from models.evaluation.metrics import Metric
from models.evaluation.result import METHOD, Choice, Counts, Draw, EvaluationData, Trial
from models.evaluation.spec import EvaluateSpec
from models.evaluation.trainer import Progress, Trainer, items, share_of

TUNED = "tuned_real"
PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""Multiples of the head's penalty among which `val` chooses for real rows alone. Rows that balance
classes make a strong prior on the head affordable; without them a weak one may do better."""


def penalised(head: HeadSpec, factor: float, rows: int) -> HeadSpec:
    """The head with its penalty multiplied; ``rows`` real ones set the default penalty."""
    return head.model_copy(update={"weight_decay": min(1.0, factor * weight_decay(head, rows))})


def choose(
    data: EvaluationData,
    draw: Draw,
    plan: Counts,
    *,
    head: HeadSpec,
    spec: EvaluateSpec,
    seed: int,
    device: str = "cpu",
    on_progress: Progress = lambda _done, _total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Choice:
    """Temperature and share by `val`: temperatures at the smallest share, then the other shares.

    Every control that adds rows chooses its share in the same way, on the same rows. Ties go to
    the temperature named first and to the larger share. Without validation rows the first temperature and the whole plan stand.

    Args:
        data: the parted real rows; `test` is not looked at.
        draw: the trained generator.
        plan: planned rows of each class.
        head: the head and its training.
        spec: the candidates, controls, seeds and metric.
        seed: the job's.
        device: where heads are trained.
        on_progress: called with heads trained and heads in all.
        should_stop: read every step; raises Interrupted.
    """
    controls = [name for name in spec.controls if name in AUGMENTING]
    penalties = PENALTIES if TUNED in spec.controls else ()
    if not len(data.val.y) or not plan.sum():
        return Choice(spec.temperatures[0], 1.0, dict.fromkeys(controls, 1.0))
    trainer = Trainer(
        data, head, seeds=spec.seeds, seed=seed, device=device,
        on_progress=on_progress, should_stop=should_stop,
    )  # fmt: skip
    shares = list(spec.shares)
    trainer.expected = spec.seeds * (
        len(spec.temperatures) + len(shares) - 1 + len(controls) * len(shares) + len(penalties)
    )
    trials: list[Trial] = []

    def attempt(
        arm: str, temperature: float | None, share: float, add: Callable[[int], Added]
    ) -> None:
        value = float(np.mean(trainer.on_val(trainer.fit(add), spec.metric)))
        trials.append(Trial(arm, temperature, share, value))

    def drawn(temperature: float, share: float) -> Callable[[int], Added]:
        labels, counters = items(share_of(plan, share))
        x = np.asarray(draw(labels, counters, temperature), dtype=np.float32)
        return lambda _seed: (x, labels)

    smallest = min(shares)
    for temperature in spec.temperatures:
        attempt(METHOD, temperature, smallest, drawn(temperature, smallest))
    best = max(trials, key=lambda trial: trial.value).temperature or spec.temperatures[0]
    for share in shares:
        if share != smallest:
            attempt(METHOD, best, share, drawn(best, share))
    for name in controls:
        for share in shares:
            attempt(name, None, share, trainer.augmented(name, share_of(plan, share)))
    tuned = [_penalised_trial(trainer, penalty, spec.metric) for penalty in penalties]
    return Choice(
        best,
        _best_share(trials, METHOD),
        {name: _best_share(trials, name) for name in controls},
        (*trials, *tuned),
        max(tuned, key=lambda trial: trial.value).penalty or 1.0 if tuned else 1.0,
    )


def _penalised_trial(trainer: Trainer, penalty: float, metric: Metric) -> Trial:
    heads = trainer.fit(head=penalised(trainer.spec, penalty, len(trainer.data.train.y)))
    return Trial(TUNED, None, 1.0, float(np.mean(trainer.on_val(heads, metric))), penalty)


def _best_share(trials: Sequence[Trial], arm: str) -> float:
    """Ties go to more rows: the control's usual form, and the plan that was asked for."""
    return max((t for t in trials if t.arm == arm), key=lambda t: (t.value, t.share)).share

"""What validation decides: the layer, then for every arm its own setting, all in the same way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from models.classifiers.spec import HeadSpec
from models.evaluation.arms import ADJUSTED, GELDA, REAL, SAME_HEAD
from models.evaluation.controls import Added
from models.evaluation.data import Counts, Draw, EvaluationData
from models.evaluation.metrics import Metric
from models.evaluation.rivals import applicable, trains
from models.evaluation.settings import Axes, Choice, Setting, Trial, search
from models.evaluation.spec import EvaluateSpec
from models.evaluation.trainer import Add, InitialHead, Progress, Trainer, items, share_of
from models.gelda.spec import SamplerSpec

SEARCH_SEEDS = 1
"""Heads a point: what another seed changes is less than what validation rows leave open."""


@dataclass(frozen=True)
class Level:
    """A place where latents are modelled: the real rows there, and the generator of them."""

    data: EvaluationData
    draw: Draw


def axes_of(arm: str, head: HeadSpec, spec: EvaluateSpec, sampler: SamplerSpec) -> Axes:
    """Return the candidates that an arm chooses among; the first of each stands unless beaten."""
    axes: dict[str, tuple[float, ...]] = {}
    if arm == GELDA.name:
        axes["temperature"] = spec.temperatures
        axes["guidance"] = spec.guidances or (sampler.guidance,)
    if arm not in (REAL, ADJUSTED, SAME_HEAD):
        axes["share"] = tuple(sorted(spec.shares, reverse=True))
    axes["penalty"] = spec.penalties
    if arm == ADJUSTED or (arm != REAL and head.loss == "logit_adjusted"):
        axes["adjustment"] = spec.adjustments or (head.adjustment,)
    return axes


def starting_setting(axes: Axes) -> Setting:
    """Return the first candidates: what stands where there is nothing to choose by."""
    return Setting(**{name: candidates[0] for name, candidates in axes.items()})


def choose(
    levels: Mapping[int, Level],
    plan: Counts,
    *,
    head: HeadSpec,
    spec: EvaluateSpec,
    sampler: SamplerSpec,
    seed: int,
    initial: InitialHead | None = None,
    device: str = "cpu",
    on_progress: Progress = lambda _done, _total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Choice:
    """Let `val` choose: the layer at first candidates, then each arm's setting by `search`.

    Real rows alone choose penalty and adjustment as every arm does, so no arm's lead rests on a head
    that was tuned for it alone. Without validation rows, or without a plan, first candidates stand.

    Args:
        levels: by layer l; of each the parted rows (`test` is not looked at) and the generator.
        plan: planned rows of each cell.
        head: the head and its training.
        spec: the candidates, controls, seeds, metric and budget.
        sampler: the spec's own solver.
        seed: the job's.
        initial: weights and bias that came with the embeddings.
        device: where heads are trained.
        on_progress: called with heads trained and heads in all.
        should_stop: read every step; raises Interrupted.
    """
    arms = [REAL, GELDA.name, *filter(trains, applicable(levels[min(levels)].data, head, spec))]
    axes = {arm: axes_of(arm, head, spec, sampler) for arm in arms}
    first = {arm: starting_setting(axes[arm]) for arm in arms}
    if not len(levels[min(levels)].data.val.y) or not plan.sum():
        return Choice(min(levels), first)
    looks = sum(min(spec.budget, _points(candidates)) for candidates in axes.values())
    heads = _Counted(on_progress, looks + len(levels) - 1)
    trainers = {
        layer: Trainer(
            level.data, head, seeds=SEARCH_SEEDS, seed=seed, initial=initial, device=device,
            on_progress=heads.one_more, should_stop=should_stop,
        )
        for layer, level in levels.items()
    }  # fmt: skip
    validation = Validation(levels, trainers, plan, spec.metric)
    layer = min(levels)
    if len(levels) > 1:
        layer = max(levels, key=lambda one: validation.score(one, GELDA.name, first[GELDA.name]))
    settings = {
        arm: search(axes[arm], partial(validation.score, layer, arm), spec.budget) for arm in arms
    }
    heads.end()
    return Choice(layer, settings, tuple(validation.trials))


@dataclass
class Validation:
    """How well arms do on `val` at any point, each looked at once.

    Attributes:
        levels: by layer.
        trainers: of heads, by layer.
        plan: planned rows of each cell.
        metric: what is measured.
        trials: all that was looked at.
    """

    levels: Mapping[int, Level]
    trainers: Mapping[int, Trainer]
    plan: Counts
    metric: Metric
    trials: list[Trial] = field(default_factory=list)

    def score(self, layer: int, arm: str, setting: Setting) -> float:
        """Return an arm's mean log-probability of the right class at a setting."""
        for trial in self.trials:
            if (trial.layer, trial.arm, trial.setting) == (layer, arm, setting):
                return trial.score
        trainer = self.trainers[layer]
        add = adding(arm, trainer, self.levels[layer].draw, self.plan, setting)
        heads = trainer.fit(arm, setting, add)
        score = float(np.mean(trainer.score_on_val(heads, self.metric)))
        value = float(np.mean(trainer.on_val(heads, self.metric)))
        self.trials.append(Trial(arm, layer, setting, score, value))
        return score


@dataclass
class _Counted:
    """Progress over several trainers: heads trained of all that the search may train."""

    tell: Progress
    total: int
    done: int = 0
    _last: int = 0

    def one_more(self, done: int, _expected: int) -> None:
        # A trainer counts its own; another one starts again from its first.
        self.done += done - self._last if done > self._last else done
        self._last = done
        self.tell(min(self.done, self.total), self.total)

    def end(self) -> None:
        self.tell(self.total, self.total)


def _points(axes: Axes) -> int:
    return 1 + sum(len(candidates) - 1 for candidates in axes.values())


def adding(
    arm: str, trainer: Trainer, draw: Draw, plan: Counts, setting: Setting
) -> Add | Added | None:
    """Return what an arm adds at a setting, by seed or always the same; None for real rows alone."""
    if arm in (REAL, ADJUSTED, SAME_HEAD):
        return None
    counts = share_of(plan, setting.share)
    if arm != GELDA.name:
        return trainer.augmented(arm, counts)
    cells, counters = items(counts)
    x = np.asarray(draw(cells, counters, setting), dtype=np.float32)
    return x, cells // trainer.data.parts_a_class

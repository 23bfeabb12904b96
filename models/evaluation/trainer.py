"""Fitting the heads of all arms alike, and the rows of a plan."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from models.classifiers.head import Head
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.evaluation.controls import AUGMENTING, Added
from models.evaluation.metrics import Metric, measure
from models.evaluation.result import Counts, EvaluationData, Labels

Progress = Callable[[int, int], None]


def head_seed(seed: int, repeat: int) -> int:
    """The seed of one of a job's heads: the same for every arm, which pairs them."""
    return int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])


def share_of(counts: Counts, share: float) -> Counts:
    """Rows of each class at a share of the plan, rounded up."""
    return np.asarray(np.ceil(share * counts - 1e-9), dtype=np.int64)


def items(counts: Counts) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Labels and counters of a plan: class by class, counters from zero."""
    labels = np.repeat(np.arange(len(counts)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return labels, np.arange(len(labels)) - starts


def first_rows(y: Labels, counts: Counts) -> npt.NDArray[np.int64]:
    """Row numbers of the first `counts` rows of each class, in class order."""
    order = np.argsort(y, kind="stable")
    have = np.bincount(y, minlength=len(counts))
    rank = np.arange(len(y)) - np.repeat(np.cumsum(have) - have, have)
    return np.asarray(order[rank < counts[y[order]]], dtype=np.int64)


class Trainer:
    """Fits the heads of arms: the parts of the protocol that never vary between them."""

    def __init__(
        self,
        data: EvaluationData,
        head: HeadSpec,
        *,
        seeds: int,
        seed: int,
        device: str = "cpu",
        on_progress: Progress = lambda _done, _total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.data, self.spec = data, head
        self.seeds = [head_seed(seed, repeat) for repeat in range(seeds)]
        self.device, self.should_stop = device, should_stop
        self.on_progress = on_progress
        self.done = self.expected = 0

    def fit(
        self, add: Callable[[int], Added] | None = None, head: HeadSpec | None = None
    ) -> list[Head]:
        """A head a seed, on real rows and those that `add(seed)` gives."""
        real = self.data.train
        heads = []
        for seed in self.seeds:
            x, y = real.x, real.y
            if add is not None:
                more_x, more_y = add(seed)
                x, y = np.concatenate([x, more_x]), np.concatenate([y, more_y])
            heads.append(
                fit_head(
                    x,
                    y,
                    len(self.data.classes),
                    head or self.spec,
                    seed,
                    n_real=len(real.y),
                    classes=self.data.classes,
                    device=self.device,
                    should_stop=self.should_stop,
                )
            )
            self.done += 1
            self.on_progress(self.done, max(self.expected, self.done))
        return heads

    def on_val(self, heads: Sequence[Head], metric: Metric) -> list[float]:
        """The metric on `val`, a head each."""
        val = self.data.val
        return [
            measure((h.predict(val.x) == val.y)[None], val.y, h.n_classes, metric) for h in heads
        ]

    def augmented(self, name: str, counts: Counts) -> Callable[[int], Added]:
        """What a control adds, by seed."""
        return lambda seed: AUGMENTING[name](self.data.train.x, self.data.train.y, counts, seed)

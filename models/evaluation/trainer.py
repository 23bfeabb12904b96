"""Fitting the heads of all arms alike, and the rows of a plan."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from models.classifiers.head import Head
from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head, seedless, weight_decay
from models.evaluation.arms import ADJUSTED, REAL
from models.evaluation.controls import AUGMENTING, Added
from models.evaluation.data import Counts, EvaluationData, Labels
from models.evaluation.metrics import Metric, log_score, measure
from models.evaluation.settings import Setting
from models.evaluation.transfer_controls import TRANSFERRING

Progress = Callable[[int, int], None]
Add = Callable[[int], Added]

InitialHead = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def head_seed(seed: int, repeat: int) -> int:
    """The seed of one of a job's heads: the same for every arm, which pairs them."""
    return int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])


def share_of(counts: Counts, share: float) -> Counts:
    """Rows of each cell at a share of the plan, rounded up."""
    return np.asarray(np.ceil(share * counts - 1e-9), dtype=np.int64)


def items(counts: Counts) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Cells and counters of a plan: cell by cell, counters from zero."""
    cells = np.repeat(np.arange(len(counts)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return cells, np.arange(len(cells)) - starts


def first_rows(cells: Labels, counts: Counts) -> npt.NDArray[np.int64]:
    """Row numbers of the first `counts` rows of each cell, in cell order."""
    order = np.argsort(cells, kind="stable")
    have = np.bincount(cells, minlength=len(counts))
    rank = np.arange(len(cells)) - np.repeat(np.cumsum(have) - have, have)
    return np.asarray(order[rank < counts[cells[order]]], dtype=np.int64)


class Trainer:
    """Fits the heads of arms: the parts of the protocol that never vary between them.

    Attributes:
        expected: heads in all, for progress.
    """

    def __init__(
        self,
        data: EvaluationData,
        head: HeadSpec,
        *,
        seeds: int,
        seed: int,
        initial: InitialHead | None = None,
        device: str = "cpu",
        on_progress: Progress = lambda _done, _total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.data, self.spec, self.initial = data, head, initial
        self.seeds = [head_seed(seed, repeat) for repeat in range(seeds)]
        self.device, self.should_stop = device, should_stop
        self.on_progress = on_progress
        self.done = self.expected = 0

    def head_of(self, arm: str, setting: Setting) -> HeadSpec:
        """Return the head of an arm at a setting: the job's own, plainer where the arm is."""
        spec = self.spec
        if arm in (REAL, ADJUSTED) and spec.head == "kernel":
            spec = spec.model_copy(update={"head": "linear"})
        if arm in (REAL, ADJUSTED):
            loss = "cross_entropy" if arm == REAL else "logit_adjusted"
            spec = spec.model_copy(update={"loss": loss})
        penalty = min(1.0, setting.penalty * weight_decay(spec, len(self.data.train.y)))
        update = {"weight_decay": penalty}
        if setting.adjustment is not None:
            update["adjustment"] = setting.adjustment
        return spec.model_copy(update=update)

    def fit(self, arm: str, setting: Setting, add: Add | Added | None = None) -> list[Head]:
        """A head a seed, on real rows and those that are added, by seed or always the same.

        Where neither the head nor the rows depend on a seed, one head is all there is.
        """
        real, spec = self.data.train, self.head_of(arm, setting)
        once = seedless(spec, len(real.y), self.data.blocks) and not callable(add)
        heads: list[Head] = []
        for seed in self.seeds[:1] if once else self.seeds:
            x, y = real.x, real.y
            if add is not None:
                more_x, more_y = add(seed) if callable(add) else add
                x, y = np.concatenate([x, more_x]), np.concatenate([y, more_y])
            heads.append(
                fit_head(
                    x,
                    y,
                    len(self.data.classes),
                    spec,
                    seed,
                    n_real=len(real.y),
                    similarity=self.data.similarity,
                    initial=self.initial,
                    blocks=self.data.blocks,
                    classes=self.data.classes,
                    device=self.device,
                    should_stop=self.should_stop,
                )
            )
            self._tell(len(self.seeds) if once else 1)
        return heads

    def _tell(self, heads: int) -> None:
        self.done += heads
        self.on_progress(self.done, max(self.expected, self.done))

    def on_val(self, heads: Sequence[Head], metric: Metric) -> list[float]:
        """The metric on `val`, a head each."""
        val = self.data.val
        return [
            measure((h.predict(val.x) == val.y)[None], val.y, h.n_classes, metric) for h in heads
        ]

    def score_on_val(self, heads: Sequence[Head], metric: Metric) -> list[float]:
        """The mean log-probability of the right class on `val`, a head each."""
        val = self.data.val
        return [log_score(h.logits(val.x), val.y, h.n_classes, metric) for h in heads]

    def augmented(self, name: str, counts: Counts) -> Add:
        """What a control adds, by seed; ``counts`` are rows of each cell."""
        data = self.data
        if name in TRANSFERRING:
            return lambda seed: TRANSFERRING[name](data, counts, seed)
        by_class = counts.reshape(-1, data.parts_a_class).sum(axis=1)
        return lambda seed: AUGMENTING[name](data.train.x, data.train.y, by_class, seed)

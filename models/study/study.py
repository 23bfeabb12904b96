"""A whole GeLDA job in one process: prepare, train, choose, draw, measure.

The service cuts the same steps into tasks; benchmarks and the in-process sampler take them in a row.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.embeddings.dataset import EmbeddingDataset
from models.evaluation import choosing, protocol
from models.evaluation.arms import GELDA, REDRAWN
from models.evaluation.choosing import Level, Validation
from models.evaluation.data import Draw
from models.evaluation.result import Result
from models.evaluation.rivals import applicable
from models.evaluation.settings import Choice
from models.evaluation.spec import EvaluateSpec
from models.evaluation.splits import TRAIN, VAL
from models.evaluation.trainer import InitialHead, Trainer, items
from models.gelda import method
from models.gelda.method import Generator
from models.gelda.spec import GeldaSpec
from models.planning.rows import cell_rows
from models.study.levels import drawing, evaluation_data, held_out_rows, rival_draw
from models.study.prepare import Prepared, Rows, prepare
from models.study.rivals import Semantics, rival_of

Latents = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass
class Study:
    """One dataset, one spec, one seed: each step is taken once, when it is first needed.

    Attributes:
        data: the dataset.
        split: of each row; -1 takes no part.
        spec: the job's.
        evaluation: the job's; `enabled` is not looked at.
        semantics: vectors of classes and subdomains, where they are not learned or one-hot.
        seed: the job's.
        scratch: a folder for what is passing.
        initial: weights and bias that came with the embeddings.
        posterior: class weights (m × K) of the m training rows without a label.
        device: a torch device.
        say: told each step.
    """

    data: EmbeddingDataset
    split: npt.NDArray[np.int8]
    spec: GeldaSpec
    evaluation: EvaluateSpec
    semantics: Semantics
    seed: int
    scratch: Path
    initial: InitialHead | None = None
    posterior: Latents | None = None
    device: str = "cpu"
    say: Callable[[str], None] = lambda _text: None
    _prepared: Prepared | None = field(default=None, init=False)
    _levels: dict[int, Level] = field(default_factory=dict, init=False)
    generators: dict[int, Generator] = field(default_factory=dict, init=False)

    @property
    def prepared(self) -> Prepared:
        """Preparation and adapter."""
        if self._prepared is None:
            self.say("preparing")
            train, val = (
                Rows(self.data.x[self.split == code], self.data.y[self.split == code])
                for code in (TRAIN, VAL)
            )
            self._prepared = prepare(
                train, val, len(self.data.classes), self.spec,
                metric=self.evaluation.metric, seed=self.seed, device=self.device,
            )  # fmt: skip
        return self._prepared

    def level(self, layer: int) -> Level:
        """Return real rows and generator at a layer."""
        if layer not in self._levels:
            self.say(f"training at layer {layer}")
            self.generators[layer] = self._trained(layer, self.spec, self.semantics)
            data = evaluation_data(
                self.data, self.split, self.spec, self.prepared, layer, self.semantics
            )
            draw = drawing(self.generators[layer], self.spec.sampler, self.seed)
            self._levels[layer] = Level(data, draw)
        return self._levels[layer]

    @property
    def plan(self) -> Labels:
        """Rows of each cell that the spec asks for."""
        data = self.level(self.prepared.layers[0]).data
        return cell_rows(self.spec.plan, data.classes, data.subdomains, data.cell_counts.tolist())

    def validation(self) -> Validation:
        """Return the metric on `val` at any setting, for a search over several studies."""
        levels = {layer: self.level(layer) for layer in self.prepared.layers}
        trainers = {
            layer: Trainer(
                level.data, self.spec.classifier, seeds=self.evaluation.seeds, seed=self.seed,
                initial=self.initial, device=self.device,
            )
            for layer, level in levels.items()
        }  # fmt: skip
        return Validation(levels, trainers, self.plan, self.evaluation.metric)

    def choose(self) -> Choice:
        """Let `val` choose."""
        levels = {layer: self.level(layer) for layer in self.prepared.layers}
        self.say("choosing")
        return choosing.choose(
            levels,
            self.plan,
            head=self.spec.classifier,
            spec=self.evaluation,
            sampler=self.spec.sampler,
            seed=self.seed,
            initial=self.initial,
            device=self.device,
        )

    def drawn(self, choice: Choice) -> tuple[Latents, Labels]:
        """Return latents Z^(l) and cells of the whole plan at what was chosen."""
        cells, counters = items(self.plan)
        made = self.level(choice.layer).draw(cells, counters, choice.of(GELDA.name))
        return np.asarray(made, dtype=np.float32), cells

    def measure(self, choice: Choice) -> Result:
        """Report on `test`, with every rival at what it chose."""
        data = self.level(choice.layer).data
        rivals: dict[str, Draw] = {}
        for name in applicable(data, self.spec.classifier, self.evaluation):
            if name in REDRAWN:
                self.say(f"training rival {name}")
                spec, semantics = rival_of(name, self.spec, self.semantics, self.seed)
                generator = self._trained(choice.layer, spec, semantics)
                draw = drawing(generator, self.spec.sampler, self.seed)
                rivals[name] = rival_draw(name, draw, data.parts_a_class)
        self.say("measuring")
        return protocol.evaluate(
            data,
            self.drawn(choice),
            choice,
            head=self.spec.classifier,
            spec=self.evaluation,
            seed=self.seed,
            generators=rivals,
            initial=self.initial,
            device=self.device,
        )

    def _trained(self, layer: int, spec: GeldaSpec, semantics: Semantics) -> Generator:
        """Return a generator of Z^(l), trained on the training rows with an eye on `val`."""
        parted = spec.subdomains is not None
        rows = np.flatnonzero((self.split == TRAIN) & (parted | (self.data.y >= 0)))
        subdomain = self.data.subdomain if parted else None
        return method.train(
            self.data.x[rows],
            self.data.y[rows],
            classes=self.data.classes,
            vectors=semantics.classes,
            subdomain=None if subdomain is None else subdomain[rows],
            subdomains=self.data.subdomains if parted else (),
            subdomain_vectors=semantics.subdomains if parted else None,
            posterior=self.posterior if parted else None,
            held_out=held_out_rows(self.data, self.split, spec),
            spec=spec,
            seed=self.seed,
            scratch=self.scratch,
            front=self.prepared.front(layer),
            device=self.device,
        )

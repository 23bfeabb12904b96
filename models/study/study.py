"""A whole GeLDA job in one process: prepare, train, choose, draw, measure.

The service cuts the same steps into tasks; benchmarks and the in-process sampler take them in a row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.embeddings.dataset import EmbeddingDataset
from models.evaluation import choosing, protocol
from models.evaluation.arms import METHOD, REDRAWN
from models.evaluation.choosing import Level
from models.evaluation.data import Draw
from models.evaluation.result import Result
from models.evaluation.rivals import applicable
from models.evaluation.settings import Choice
from models.evaluation.spec import EvaluateSpec
from models.evaluation.splits import TRAIN, VAL
from models.evaluation.trainer import InitialHead, items
from models.gelda import method
from models.gelda.method import Generator
from models.gelda.plan import cell_rows
from models.gelda.spec import GeldaSpec
from models.study.levels import drawing, evaluation_data, held_out_rows, rival_draw
from models.study.prepare import Prepared, Rows, prepare
from models.study.rivals import Semantics, rival_of


@dataclass(frozen=True)
class Study:
    """What a run leaves.

    Attributes:
        generator: trained at the chosen layer.
        choice: what validation chose.
        synthetic: (latents Z^(l), cells) of the whole plan at the chosen setting.
        result: held-out results.
    """

    prepared: Prepared
    generator: Generator
    choice: Choice
    synthetic: tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
    result: Result


def run(
    data: EmbeddingDataset,
    split: npt.NDArray[np.int8],
    spec: GeldaSpec,
    evaluation: EvaluateSpec,
    *,
    semantics: Semantics,
    seed: int,
    scratch: Path,
    initial: InitialHead | None = None,
    choice: Choice | None = None,
    posterior: npt.NDArray[np.float32] | None = None,
    device: str = "cpu",
    say: Callable[[str], None] = lambda _text: None,
) -> Study:
    """Take every step of a job on one dataset.

    Args:
        data: the dataset.
        split: of each row, complete (`make_splits`).
        spec: the job's.
        evaluation: the job's; `enabled` is not looked at.
        semantics: vectors of classes and subdomains, where they are not learned or one-hot.
        seed: the job's.
        scratch: an empty folder.
        initial: weights and bias that came with the embeddings.
        choice: settings that were chosen elsewhere, instead of choosing here.
        posterior: class weights (m × K) of the m training rows without a label.
        device: a torch device.
        say: told each step.

    Raises:
        InputProblem: rows, vectors or plan cannot be used.
    """
    say("preparing")
    train, val = (Rows(data.x[split == code], data.y[split == code]) for code in (TRAIN, VAL))
    prepared = prepare(
        train, val, len(data.classes), spec, metric=evaluation.metric, seed=seed, device=device
    )

    def trained(layer: int, spec: GeldaSpec, semantics: Semantics) -> Generator:
        return train_at(
            layer, data, split, spec, prepared, semantics, posterior=posterior, seed=seed,
            scratch=scratch, device=device,
        )  # fmt: skip

    levels, generators = {}, {}
    for layer in prepared.layers:
        say(f"training at layer {layer}")
        generators[layer] = trained(layer, spec, semantics)
        levels[layer] = Level(
            evaluation_data(data, split, spec, prepared, layer, semantics),
            drawing(generators[layer], spec.sampler, seed),
        )
    any_level = levels[prepared.layers[0]].data
    plan = cell_rows(spec.plan, data.classes, any_level.subdomains, any_level.cell_counts.tolist())
    say("choosing")
    choice = choice or choosing.choose(
        levels, plan, head=spec.classifier, spec=evaluation, sampler=spec.sampler, seed=seed,
        initial=initial, device=device,
    )  # fmt: skip
    level = levels[choice.layer]
    cells, counters = items(plan)
    made = np.asarray(level.draw(cells, counters, choice.of(METHOD)), dtype=np.float32)
    rivals: dict[str, Draw] = {}
    for name in applicable(level.data, spec.classifier, evaluation):
        if name in REDRAWN:
            say(f"training rival {name}")
            generator = trained(choice.layer, *rival_of(name, spec, semantics, seed))
            drawn = drawing(generator, spec.sampler, seed)
            rivals[name] = rival_draw(name, drawn, len(data.subdomains))
    say("measuring")
    result = protocol.evaluate(
        level.data, (made, cells), choice, head=spec.classifier, spec=evaluation, seed=seed,
        generators=rivals, initial=initial, device=device,
    )  # fmt: skip
    return Study(prepared, generators[choice.layer], choice, (made, cells), result)


def train_at(
    layer: int,
    data: EmbeddingDataset,
    split: npt.NDArray[np.int8],
    spec: GeldaSpec,
    prepared: Prepared,
    semantics: Semantics,
    *,
    posterior: npt.NDArray[np.float32] | None,
    seed: int,
    scratch: Path,
    device: str = "cpu",
) -> Generator:
    """Return a generator of Z^(l), trained on the training rows with an eye on `val`."""
    rows = np.flatnonzero(split == TRAIN)
    parted = spec.subdomains is not None and data.subdomain is not None
    subdomain = data.subdomain if parted else None
    return method.train(
        data.x[rows],
        data.y[rows],
        classes=data.classes,
        vectors=semantics.classes,
        subdomain=None if subdomain is None else subdomain[rows],
        subdomains=data.subdomains if parted else (),
        subdomain_vectors=semantics.subdomains if parted else None,
        posterior=posterior,
        held_out=held_out_rows(data, split, spec),
        spec=spec,
        seed=seed,
        scratch=scratch,
        front=prepared.front(layer),
        device=device,
    )

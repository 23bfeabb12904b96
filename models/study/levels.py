"""What evaluation needs at a layer: the real rows there, and a generator to draw from."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from models.embeddings.dataset import EmbeddingDataset
from models.evaluation.arms import NO_SUBDOMAIN
from models.evaluation.data import Draw, EvaluationData, Latents
from models.evaluation.settings import Setting
from models.evaluation.splits import VAL
from models.gelda.conditioning import similarity
from models.gelda.method import Generator
from models.gelda.spec import GeldaSpec, SamplerSpec
from models.study.prepare import LOOKED_AT, Prepared
from models.study.rivals import Semantics, without_subdomains

BATCH_ROWS = 1024

HeldOut = tuple[npt.NDArray[np.floating], npt.NDArray[np.int64], npt.NDArray[np.int64] | None]


def evaluation_data(
    data: EmbeddingDataset,
    split: npt.NDArray[np.int8],
    spec: GeldaSpec,
    prepared: Prepared,
    layer: int,
    semantics: Semantics,
) -> EvaluationData:
    """Return the parted real rows as latents Z^(l), with what heads take from the class vectors."""
    vectors = semantics.classes
    related = None if vectors is None else similarity(torch.from_numpy(vectors)).numpy()
    parted = spec.subdomains is not None
    return EvaluationData.of(
        data.x,
        data.y,
        split,
        data.classes,
        front=prepared.front(layer),
        group=data.group,
        subdomain=data.subdomain if parted else None,
        subdomains=data.subdomains if parted else (),
        similarity=related,
        blocks=prepared.blocks[layer:],
    )


def held_out_rows(
    data: EmbeddingDataset, split: npt.NDArray[np.int8], spec: GeldaSpec
) -> HeldOut | None:
    """Return rows of `val` on which a flow's loss is watched; None where there are none."""
    rows = np.flatnonzero((split == VAL) & (data.y >= 0))
    if not len(rows) or spec.objective.patience is None:
        return None
    if len(rows) > LOOKED_AT:
        rows = np.sort(np.random.default_rng(0).choice(rows, LOOKED_AT, replace=False))
    parted = spec.subdomains is not None and data.subdomain is not None
    subdomain = data.subdomain[rows] if parted and data.subdomain is not None else None
    return np.asarray(data.x[rows]), data.y[rows], subdomain


def drawing(
    generator: Generator,
    sampler: SamplerSpec,
    seed: int,
    *,
    batch_size: int = BATCH_ROWS,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Draw:
    """Return a generator as evaluation sees it."""

    def draw(
        cells: npt.NDArray[np.int64], counters: npt.NDArray[np.int64], setting: Setting
    ) -> Latents:
        return generator.sample(
            cells,
            counters,
            seed=seed,
            sampler=sampler_at(sampler, setting),
            space="latent",
            batch_size=batch_size,
            should_stop=should_stop,
            on_progress=on_progress,
        )

    return draw


def sampler_at(sampler: SamplerSpec, setting: Setting) -> SamplerSpec:
    """Return the solver with what validation chose."""
    chosen = {"temperature": setting.temperature, "guidance": setting.guidance}
    return sampler.model_copy(update={k: v for k, v in chosen.items() if v is not None})


def rival_draw(name: str, draw: Draw, subdomains: int) -> Draw:
    """Return the draws of a rival's generator as those of the method's cells."""
    return without_subdomains(draw, subdomains) if name == NO_SUBDOMAIN else draw

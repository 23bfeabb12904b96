"""What class rows without a label may be of: the posterior of a head on those that have one."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.front.front import Front
from models.front.preparation import CHUNK, transformed
from models.study.prepare import ADAPTED_ON, Rows


def posterior_of(
    train: Rows,
    front: Front,
    n_classes: int,
    seed: int,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> npt.NDArray[np.float32] | None:
    """Return (m, K) class probabilities of the m rows without a label; None where all have one.

    From a plain linear head on the labelled rows: what is learned from other subdomains is carried
    over as far as the head is sure, and no further.

    Args:
        train: all training rows; those without a label are read a chunk at a time.
        front: embeddings to the latents that the head stands on.
        n_classes: K.
        seed: of the head, where it needs one.
        should_stop: asked often; raises Interrupted.
    """
    unknown = np.flatnonzero(train.y < 0)
    if not len(unknown):
        return None
    known = train.sample(ADAPTED_ON)
    head = fit_head(
        transformed(front, known.x), known.y, n_classes, HeadSpec(), seed, should_stop=should_stop
    )
    shares = np.empty((len(unknown), n_classes), dtype=np.float32)
    for start in range(0, len(unknown), CHUNK):
        block = slice(start, start + CHUNK)
        logits = torch.from_numpy(head.logits(transformed(front, train.x[unknown[block]])))
        shares[block] = logits.double().softmax(dim=1).float().numpy()
    return shares

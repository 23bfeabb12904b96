"""What class rows without a label may be of: the posterior of a head on those that have one."""

import numpy as np
import numpy.typing as npt
import torch

from models.classifiers.spec import HeadSpec
from models.classifiers.train import fit_head
from models.front.front import Front
from models.front.preparation import transformed
from models.study.prepare import ADAPTED_ON, Rows


def posterior_of(
    train: Rows, front: Front, n_classes: int, seed: int
) -> npt.NDArray[np.float32] | None:
    """Return (m, K) class probabilities of the m rows without a label; None where all have one.

    From a plain linear head on the labelled rows: what is learned from other subdomains is carried
    over as far as the head is sure, and no further.

    Args:
        train: all training rows.
        front: embeddings to the latents that the head stands on.
        n_classes: K.
        seed: of the head, where it needs one.
    """
    unknown = np.flatnonzero(train.y < 0)
    if not len(unknown):
        return None
    known = train.sample(ADAPTED_ON)
    head = fit_head(transformed(front, known.x), known.y, n_classes, HeadSpec(), seed)
    logits = head.logits(transformed(front, train.x[unknown]))
    shares = torch.from_numpy(logits).double().softmax(dim=1)
    return shares.float().numpy()

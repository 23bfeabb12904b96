"""From states of tokens or places to one vector a row."""

from typing import Any

import torch
from torch import Tensor

from models.encoders.family import Resolved, Tower
from models.encoders.loading import Loaded
from models.encoders.spec import EncoderSpec
from models.errors import InputProblem


def resolve(spec: EncoderSpec, tower: Tower, sentences: Resolved | None) -> Resolved:
    """Return the pooling that ``spec`` asks for, `auto` decided.

    Args:
        spec: at a hidden layer there is no pooler, so `auto` falls back on the tokens.
        tower: what its family is used with.
        sentences: the pooling that a sentence encoder's folder states, if it does.
    """
    if spec.pooling != "auto":
        return spec.pooling
    auto = sentences or tower.auto
    if spec.layer is None or auto not in {"pooler", "projection"}:
        return auto
    return "cls" if tower.has_cls else "mean"


def pooled_output(output: Any, mask: Tensor | None, pooling: Resolved) -> Tensor | None:
    """Return (n, d) vectors of a model's own output; None where it has none of this kind."""
    if pooling == "projection":
        embeds = getattr(output, "image_embeds", None)
        return getattr(output, "text_embeds", None) if embeds is None else embeds
    if pooling == "pooler":
        pooled: Tensor | None = getattr(output, "pooler_output", None)
        return None if pooled is None else pooled.flatten(1)
    return pooled_states(output.last_hidden_state, mask, pooling)


def pooled_states(states: Tensor, mask: Tensor | None, pooling: Resolved) -> Tensor | None:
    """Return (n, d) vectors of (n, tokens, d) states, or of (n, d, height, width) maps.

    None where the states do not have as many tokens as the mask, or other axes.
    """
    if states.ndim == 2:
        return states
    if states.ndim == 4:
        return states.mean(dim=(2, 3))
    if states.ndim != 3 or (mask is not None and mask.shape[1] != states.shape[1]):
        return None
    if pooling == "cls":
        return states[:, 0]
    if mask is None:
        mean = states.mean(dim=1)
    else:
        weights = mask[:, :, None].to(states.dtype)
        mean = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
    return torch.nn.functional.normalize(mean, dim=-1) if pooling == "mean_unit" else mean


def check(loaded: Loaded, pooling: Resolved, param: str) -> None:
    """Refuse a pooling that this model would answer with noise.

    Raises:
        InputProblem: ``encoder_pooling_unavailable``.
    """
    if pooling == "cls" and not loaded.tower.has_cls:
        raise unavailable(pooling, "its first token stands for nothing but itself", param)
    if pooling == "pooler" and not loaded.has_pooler:
        raise unavailable(pooling, "its folder lacks the pooler's weights", param)


def unavailable(pooling: Resolved, why: str, param: str) -> InputProblem:
    """Return the error for a pooling that a model does not have."""
    return InputProblem(
        "encoder_pooling_unavailable",
        f"The pooling is {pooling!r}, which this model does not have ({why}); 'auto' takes one "
        "that it has.",
        param,
    )

"""A tower of a model at hand, from its folder: weights, and nothing that could run code."""

from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from transformers.utils import logging

from models.encoders.allowed import Modality
from models.encoders.catalogue import Found
from models.encoders.family import Tower
from models.errors import InputProblem, first_line

OFFLINE = {"local_files_only": True, "trust_remote_code": False}
"""How every part of a model is loaded."""

UNUSED = ("masked_spec_embed",)
"""Weights that training alone reads; a checkpoint may leave them out."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A tower in evaluation mode, in float32.

    Attributes:
        has_pooler: false where the checkpoint lacks the pooler's weights, which are random then.
    """

    model: nn.Module
    tower: Tower
    has_pooler: bool

    @property
    def trunk(self) -> nn.Module:
        """The model without a projection on top, which hides the pooler's output."""
        name = (self.tower.config or "").replace("config", "model")
        trunk: nn.Module = getattr(self.model, name, self.model) if name else self.model
        return trunk


def tower_for(found: Found, modality: Modality | None, param: str) -> Tower:
    """Return the tower that reads ``modality``; None: the one that the model is for.

    Raises:
        InputProblem: ``encoder_modality_mismatch``.
    """
    for tower in found.towers:
        if modality in {None, tower.modality}:
            return tower
    reads = " and ".join(found.modalities) or "nothing that is known here"
    raise InputProblem(
        "encoder_modality_mismatch",
        f"The model {found.id!r} ({found.family}) reads {reads}, the data is {modality or 'none'}.",
        param,
    )


def load(found: Found, tower: Tower, param: str) -> Loaded:
    """Load ``tower`` of a model at hand, and no other part of it.

    Raises:
        InputProblem: ``model_incomplete``: the folder cannot be loaded or lacks weights.
    """
    logging.disable_progress_bar()  # a bar for a hundred tensors, on the service's standard error
    logging.set_verbosity_error()  # what is missing is told below, what is not wanted is left out
    try:
        config = AutoConfig.from_pretrained(found.path, **OFFLINE)
        model, told = _class_of(tower).from_pretrained(
            found.path,
            config=_config_of(tower, config),
            dtype=torch.float32,
            key_mapping=dict(tower.rename) or None,
            use_safetensors=True,
            output_loading_info=True,
            **OFFLINE,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise _incomplete(found, first_line(error), param) from error
    missing = {name for name in told["missing_keys"] if not name.endswith(UNUSED)}
    pooler = {name for name in missing if "pooler" in name.split(".")}
    if missing - pooler:
        first, more = min(missing - pooler), len(missing - pooler) - 1
        raise _incomplete(found, f"there are no weights {first!r}, and {more} more lack", param)
    if tower.modality == "image":  # convolutions read a pixel's channels together
        model.to(memory_format=torch.channels_last)
    return Loaded(model.eval().requires_grad_(requires_grad=False), tower, not pooler)


def _class_of(tower: Tower) -> Any:
    if tower.model_class == "WhisperEncoder":  # not among the names of the package
        return WhisperEncoder
    return getattr(transformers, tower.model_class) if tower.model_class else AutoModel


def _config_of(tower: Tower, config: Any) -> Any:
    """Return the tower's part of a config; the width of a projection is told in the whole."""
    if tower.config is None:
        return config
    part = getattr(config, tower.config)
    if hasattr(config, "projection_dim"):
        part.projection_dim = config.projection_dim
    return part


def _incomplete(found: Found, why: str, param: str) -> InputProblem:
    return InputProblem(
        "model_incomplete",
        f"The model {found.id!r} cannot be loaded from its folder: {why}",
        param,
    )

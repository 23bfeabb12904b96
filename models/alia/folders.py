"""A model of transformers from a local folder: its config, its weights, and nothing that could run code."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig
from transformers.utils import logging

from models.errors import InputProblem, first_line

OFFLINE = {"local_files_only": True, "trust_remote_code": False}
"""How every part of a model is loaded."""

UNREADABLE = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError)
"""What transformers raises where a folder's files are not what it expects."""


def read_config(folder: Path, name: str, param: str) -> Any:
    """Return the config in a model's folder.

    Args:
        folder: of the model.
        name: of the model, in messages.
        param: the field that names it.

    Raises:
        InputProblem: ``model_incomplete``.
    """
    try:
        return AutoConfig.from_pretrained(folder, **OFFLINE)
    except UNREADABLE as error:
        raise incomplete(name, first_line(error), param) from error


def load_weights(
    model_class: Any, config: Any, folder: Path, name: str, param: str, device: str
) -> Any:
    """Return a model in evaluation mode, without gradients, on a device.

    Weights are bfloat16 on CUDA and float32 elsewhere, where an answer must not depend on what the
    processor happens to multiply.

    Raises:
        InputProblem: ``model_incomplete``: files or weights lack, or are not of safetensors.
    """
    logging.disable_progress_bar()  # a bar for a hundred tensors, on the service's standard error
    logging.set_verbosity_error()  # what is missing is told below
    on_cuda = torch.device(device).type == "cuda"
    try:
        model, told = model_class.from_pretrained(
            folder,
            config=config,
            dtype=torch.bfloat16 if on_cuda else torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **OFFLINE,
        )
    except UNREADABLE as error:
        raise incomplete(name, first_line(error), param) from error
    missing = sorted(told["missing_keys"])
    if missing:
        lacking = f"there are no weights {missing[0]!r}, and {len(missing) - 1} more lack"
        raise incomplete(name, lacking, param)
    return model.eval().requires_grad_(requires_grad=False).to(device)


def load_part(loader: Any, folder: Path, name: str, param: str, **options: Any) -> Any:
    """Return a tokenizer or a processor from a model's folder.

    Raises:
        InputProblem: ``model_incomplete``.
    """
    try:
        return loader.from_pretrained(folder, **OFFLINE, **options)
    except UNREADABLE as error:
        raise incomplete(name, first_line(error), param) from error


def incomplete(name: str, why: str, param: str) -> InputProblem:
    """Return the problem of a folder from which a model cannot be loaded."""
    return InputProblem(
        "model_incomplete", f"The model {name!r} cannot be loaded from its folder: {why}", param
    )


def of_another_kind(name: str, found: str, needed: str, param: str) -> InputProblem:
    """Return the problem of a model that is no model for this place."""
    return InputProblem(
        "model_of_another_kind", f"The model {name!r} is {found}, expected {needed}.", param
    )

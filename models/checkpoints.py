"""Weights and settings on disk: safetensors and JSON, whole or not at all, byte for byte repeatable."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

CONFIG_FILE = "config.json"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
    """Write one safetensors file with `header` as JSON inside it; return ``path``.

    The file appears whole under its name or not at all. Equal contents give equal bytes: the header
    is one entry with sorted keys, because safetensors keeps several entries in no fixed order.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    still = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    try:
        save_file(still, partial, metadata={"config": _json(header)})
        _replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and header of a file that `write_tensors` made."""
    with safe_open(path, framework="pt", device=device) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        header = json.loads((file.metadata() or {}).get("config", "{}"))
    return tensors, header


def save_model(
    folder: Path, name: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> tuple[Path, Path]:
    """Write ``<name>.safetensors`` and `config.json` into ``folder``; return both paths.

    The config is written last, so a folder with a config has its weights.
    """
    weights = write_tensors(folder / f"{name}.safetensors", tensors, {"name": name})
    settings = folder / CONFIG_FILE
    partial = folder / f".{CONFIG_FILE}.{os.getpid()}.partial"
    try:
        partial.write_text(_json(config, indent=2) + "\n", encoding="utf-8")
        _replace(partial, settings)
    finally:
        partial.unlink(missing_ok=True)
    return weights, settings


def load_model(
    folder: Path, name: str, device: str = "cpu"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return weights and config of a folder that `save_model` wrote."""
    tensors, _ = read_tensors(folder / f"{name}.safetensors", device)
    config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    return tensors, config


def read_checkpoint(
    path: Path, device: str, fingerprint: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and header of a training's checkpoint.

    Raises:
        ValueError: its header has another `fingerprint`.
    """
    tensors, header = read_tensors(path, device)
    if header.get("fingerprint") != fingerprint:
        raise ValueError(f"{path.name} is a checkpoint of a training with other settings or data")
    return tensors, header


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of an optimizer as ``<parameter>.<name>``."""
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put what `optimizer_tensors` gave back into an optimizer of the same parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    # SparseAdam counts its steps in a plain integer, the others in a tensor.
    plain_steps = isinstance(optimizer, torch.optim.SparseAdam)
    state: dict[int, dict[str, Any]] = {}
    for place, value in tensors.items():
        index, _, name = place.partition(".")
        like, kept = parameters[int(index)], state.setdefault(int(index), {})
        if name == "step":
            kept[name] = int(value) if plain_steps else value
        else:
            # In the weights' order in memory, so that sums over them keep theirs.
            kept[name] = torch.empty_like(like).copy_(value)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _json(value: Mapping[str, Any], indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, sort_keys=True, allow_nan=False, ensure_ascii=False)


def _replace(partial: Path, path: Path) -> None:
    """Rename ``partial`` over ``path``, contents first on disk, then the name."""
    _sync(partial)
    partial.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

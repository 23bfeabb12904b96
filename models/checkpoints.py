"""Weights and settings on disk: safetensors and JSON, whole or not at all, byte for byte repeatable."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

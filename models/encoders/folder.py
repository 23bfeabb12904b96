"""A model's folder on this machine: its settings, its weights, what identifies it, its licence."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDERS_VARIABLE = "CULTIVAR_MODELS"
"""Environment variable with folders of local models, separated as in PATH."""

CONFIG = "config.json"

OF_ITS_FOLDER = "as in its folder"
"""Licence of a model whose folder does not say it in a way that can be read."""


def operators_folders(marker: str) -> Iterator[Path]:
    """Yield the models in the folders of `CULTIVAR_MODELS` that have a file of the name ``marker``."""
    for folder in filter(None, os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)):
        for file in sorted(Path(folder).glob(f"*/{marker}")):
            yield file.parent


def weights(folder: Path, stem: str = "model") -> list[Path]:
    """Return the safetensors files that are loaded from a folder; empty if one lacks.

    Args:
        folder: of the model.
        stem: how their names begin: `model`, or `diffusion_pytorch_model` for parts of diffusers.
    """
    whole, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if whole.is_file():
        return [whole]
    shards = set(read_json(index).get("weight_map", {}).values())
    files = [folder / name for name in sorted(shards)]
    return files if all(file.is_file() for file in files) else []


def stated_licence(folder: Path) -> str:
    """Return the licence in the head of a folder's README.md, or a hint where to look."""
    readme = folder / "README.md"
    if readme.is_file():
        front = re.match(r"---\n(.*?)\n---", readme.read_text("utf-8", "replace"), re.DOTALL)
        stated = re.search(r"^license:\s*([\w.+-]+)\s*$", front[1], re.MULTILINE) if front else None
        if stated:
            return stated[1]
    return OF_ITS_FOLDER


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file's object, empty where there is none that can be read."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def digest_of(folder: Path, names: Iterable[str]) -> str:
    """Return SHA-256 over names and digests of those files that are there; equal files, equal digest.

    A file is read once a process, and again where its size or time has changed.
    """
    whole = hashlib.sha256()
    for name in sorted(names):
        file = folder / name
        if file.is_file():
            stat = file.stat()
            digest = _digest(file.resolve(), stat.st_mtime_ns, stat.st_size)
            whole.update(f"{name} {digest}\n".encode())
    return whole.hexdigest()


@lru_cache(maxsize=4096)
def _digest(path: Path, _mtime_ns: int, _size: int) -> str:
    """Return a file's SHA-256; time and size are part of the key, so that a new file is read."""
    # The hub's cache calls a large file by its SHA-256 and puts it under this name when whole.
    if re.fullmatch(r"[0-9a-f]{64}", path.name) and path.parent.name == "blobs":
        return path.name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

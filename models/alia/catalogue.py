"""Which models for ALIA are at hand on this machine: captioners, language models, editors and CLIP."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.alia.allowed import ALLOWED, Role
from models.alia.spec import EditorName
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

INDEX = "model_index.json"
"""What diffusers writes into the folder of a pipeline; each of its parts has a folder in that."""

SETTINGS = re.compile(r"[\w.-]+\.(json|txt|model|jinja)")
"""Names of what decides how a model is fed and used: settings, vocabularies, chat templates."""

STEMS = ("model", "diffusion_pytorch_model")
"""How the weights of a part begin, as transformers and as diffusers write them."""

OPTIONAL = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
"""Parts of a pipeline that a folder may leave out, whatever its index says."""

CAPTIONERS = {
    "blip": "BlipForConditionalGeneration",
    "florence2": "Florence2ForConditionalGeneration",
}
"""By `model_type`, the one architecture of the family that writes captions."""

IMAGE_TEXT = {"clip": "CLIPModel", "siglip": "SiglipModel"}
"""By `model_type`, the architecture that has both towers."""

PIPELINES: dict[str, tuple[EditorName, ...]] = {
    "StableDiffusionPipeline": ("img2img", "txt2img"),
    "StableDiffusionImg2ImgPipeline": ("img2img", "txt2img"),
    "StableDiffusionInstructPix2PixPipeline": ("instruct_pix2pix",),
    "LatentConsistencyModelPipeline": ("lcm",),
    "LatentConsistencyModelImg2ImgPipeline": ("lcm",),
    "Flux2KleinPipeline": ("flux2_klein",),
}
"""By the class that an index names, the editors that its parts serve."""

_NEEDED: dict[Role, str] = {
    "captioner": f"a captioner ({', '.join(CAPTIONERS.values())})",
    "language": "a language model (…ForCausalLM)",
    "image_text": f"an image-text model ({', '.join(IMAGE_TEXT.values())})",
    "editor": "an editor (a pipeline of diffusers)",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A model at hand.

    Attributes:
        id: the name that a spec may use.
        path: its folder, in the layout of transformers or diffusers.
        role: what it can be used for.
        kind: `model_type` of its config.json, or the pipeline's class.
        licence: as its page or its folder states it, or a hint where to look.
        editors: of an editor, those that it can be the weights of.
        commit: of the hub, for a model that was pulled.
    """

    id: str
    path: Path
    role: Role
    kind: str
    licence: str
    editors: tuple[EditorName, ...] = ()
    commit: str | None = None

    @property
    def bytes(self) -> int:
        """Size of its weights."""
        return sum(file.stat().st_size for part in _parts(self.path) for file in _weights_of(part))

    @property
    def revision(self) -> str:
        """SHA-256 over the digests of settings and weights: equal files, equal revision.

        Reads the weights once a process; they are not read again while size and time stay.
        """
        return digest_of(self.path, _files(self.path))


def available(role: Role | None = None) -> dict[str, Found]:
    """Return the models at hand by the name that a spec may use; those of one role, if it is given.

    These are the folders of `CULTIVAR_MODELS` with a `config.json` or a `model_index.json`, and the ids
    of `ALLOWED` that have been pulled. A name is looked up here and never taken for a path or a hub id.
    """
    found: dict[str, Found] = {}
    for name, path, commit in _places():
        one = None if name in found else look(name, path, commit)
        if one is not None and role in {None, one.role}:
            found[name] = one
    return found


def find(name: str, role: Role, param: str, editor: EditorName | None = None) -> Found:
    """Return the model at hand that is called ``name``.

    Args:
        name: as a spec gives it.
        role: what it is needed for.
        param: the spec's field.
        editor: of an editor, which one it is to be the weights of.

    Raises:
        InputProblem: ``model_of_another_kind``; ``model_incomplete`` of a folder that lacks weights as
            safetensors; ``model_not_at_hand`` where it may be pulled; ``model_not_allowed`` for any
            other name.
    """
    for place, path, commit in _places():
        if place == name:
            found = look(name, path, commit)
            if found is not None:
                _check_kind(found.role, found.editors, found.kind, name, role, editor, param)
                return found
            if commit is None:  # else its download has not ended
                raise _unusable(name, path, role, param)
    if name in ALLOWED:
        listed = ALLOWED[name]
        _check_kind(listed.role, listed.editors, listed.role, name, role, editor, param)
        raise InputProblem(
            "model_not_at_hand",
            f"The model {name!r} is not on this machine: pull it with `cultivar models pull {name}`"
            f" (about {listed.megabytes:,} MB).",
            param,
        )
    known = ", ".join(sorted(available(role))) or "none"
    raise InputProblem(
        "model_not_allowed",
        f"The model {name!r} is not on this service's list. At hand for this: {known}; "
        "`cultivar models list` names those that can be pulled.",
        param,
    )


def look(name: str, path: Path, commit: str | None = None) -> Found | None:
    """Return what is in a folder; None where ALIA has no use for it, or weights lack.

    Args:
        name: how it is to be called.
        path: the folder, an operator's or the cache's: never a name out of a spec.
        commit: of the hub, for a model that was pulled.
    """
    kind, role, editors = _kind_of(path)
    if role is None or lacking(path) is not None:
        return None
    licence = ALLOWED[name].licence if name in ALLOWED else stated_licence(path)
    return Found(name, path, role, kind, licence, editors, commit)


def lacking(path: Path) -> str | None:
    """Return the first part of a model whose files lack: a folder's name, or `.` for the model itself."""
    index = read_json(path / INDEX)
    if not index:
        return None if _weights_of(path) else "."
    for part in components(index):
        folder = path / part
        if part in OPTIONAL and not folder.is_dir():
            continue
        whole = bool(_weights_of(folder)) if (folder / CONFIG).is_file() else folder.is_dir()
        if not whole:
            return part
    return None


def components(index: dict[str, Any]) -> list[str]:
    """Return the parts that a pipeline's index names; those it says are null are left out."""
    return [
        name
        for name, value in index.items()
        if re.fullmatch(r"[a-z0-9_]+", name)  # it becomes a folder's name
        and isinstance(value, list)
        and value[:1] != [None]
    ]


def _places() -> Iterator[tuple[str, Path, str | None]]:
    """Yield name, folder and commit of everything that may be a model, the first of a name first."""
    for marker in (CONFIG, INDEX):
        for folder in operators_folders(marker):
            yield folder.name, folder, None
    for allowed in ALLOWED.values():
        marker = INDEX if allowed.role == "editor" else CONFIG
        if (snapshot := cached(allowed.id, allowed.revision, marker)) is not None:
            yield allowed.id, snapshot, snapshot.name


def _kind_of(path: Path) -> tuple[str, Role | None, tuple[EditorName, ...]]:
    """Return what a folder's settings say it is, what it can be used for, and by which editors."""
    index = read_json(path / INDEX)
    if index:
        pipeline = str(index.get("_class_name"))
        editors = PIPELINES.get(pipeline, ())
        return pipeline, "editor" if editors else None, editors
    config = read_json(path / CONFIG)
    kind = str(config.get("model_type"))
    architectures = [str(one) for one in config.get("architectures") or ()]
    if CAPTIONERS.get(kind) in architectures:
        return kind, "captioner", ()
    if IMAGE_TEXT.get(kind) in architectures:
        return kind, "image_text", ()
    if any(one.endswith("ForCausalLM") for one in architectures):
        return kind, "language", ()
    return " ".join([kind, *architectures]), None, ()


def _check_kind(
    found: Role,
    editors: tuple[EditorName, ...],
    kind: str,
    name: str,
    role: Role,
    editor: EditorName | None,
    param: str,
) -> None:
    if found != role:
        raise _of_another_kind(name, kind, _NEEDED[role], param)
    if editor is not None and editor not in editors:
        classes = " or ".join(one for one, served in PIPELINES.items() if editor in served)
        serves = f"{kind} for {' and '.join(editors)}"
        raise _of_another_kind(name, serves, f"one for {editor} ({classes})", param)


def _unusable(name: str, path: Path, role: Role, param: str) -> InputProblem:
    kind, found, _ = _kind_of(path)
    if found is None:
        return _of_another_kind(name, kind, _NEEDED[role], param)
    part = lacking(path)
    where = "its folder" if part == "." else f"its part {part!r}"
    return InputProblem(
        "model_incomplete", f"The model {name!r} has no weights as safetensors in {where}.", param
    )


def _of_another_kind(name: str, kind: str, needed: str, param: str) -> InputProblem:
    return InputProblem(
        "model_of_another_kind",
        f"The model {name!r} is of kind {kind}; needed is {needed}.",
        param,
    )


def _parts(path: Path) -> list[Path]:
    """Return the folders that hold a model's files."""
    return [path, *(path / part for part in components(read_json(path / INDEX)))]


def _weights_of(folder: Path) -> list[Path]:
    return next(filter(None, (weights(folder, stem) for stem in STEMS)), [])


def _files(path: Path) -> list[str]:
    """Return the names, from a model's folder on, of its settings and weights."""
    names = []
    for part in filter(Path.is_dir, _parts(path)):
        settings = (file for file in part.iterdir() if SETTINGS.fullmatch(file.name))
        names += [str(file.relative_to(path)) for file in (*settings, *_weights_of(part))]
    return names

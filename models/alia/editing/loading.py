"""Editors from local folders in the standard layout of diffusers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch

from models import precision
from models.alia.editing import stable
from models.alia.editing.engine import Editor, Model
from models.alia.editing.flux2 import Flux2Klein, SourcesFlux2KleinPipeline
from models.alia.editing.prompts import prompts
from models.alia.editing.scheduling import beside
from models.alia.spec import EditorName, EditSpec
from models.errors import InputProblem, first_line
from models.memory_format import channels_last

INDEX = "model_index.json"
COMPILED_FROM = 1000
"""Edits above which compiling, about a minute, is worth its time."""


@dataclass(frozen=True)
class Kind:
    """How an editor is loaded.

    Attributes:
        folders: the `_class_name` of folders that can be loaded as it.
        pipeline: the class that they are loaded by.
        model: what the engine calls it through.
        denoiser: the pipeline's part that denoises.
    """

    folders: tuple[str, ...]
    pipeline: Any
    model: Any
    denoiser: str = "unet"


_STABLE = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline")
KINDS: dict[EditorName, Kind] = {
    "img2img": Kind(_STABLE, diffusers.StableDiffusionImg2ImgPipeline, stable.ImageToImage),
    "txt2img": Kind(_STABLE, diffusers.StableDiffusionPipeline, stable.TextToImage),
    "instruct_pix2pix": Kind(
        ("StableDiffusionInstructPix2PixPipeline",),
        diffusers.StableDiffusionInstructPix2PixPipeline,
        stable.InstructPix2Pix,
    ),
    "lcm": Kind(
        ("LatentConsistencyModelPipeline", "LatentConsistencyModelImg2ImgPipeline"),
        diffusers.LatentConsistencyModelImg2ImgPipeline,
        stable.LatentConsistency,
    ),
    "flux2_klein": Kind(
        ("Flux2KleinPipeline",), SourcesFlux2KleinPipeline, Flux2Klein, "transformer"
    ),
}


def load_editor(
    spec: EditSpec,
    folder: Path,
    name: str,
    param: str,
    prefix: str,
    device: str,
    *,
    edits: int | None = None,
) -> Editor:
    """Return the editor of these settings.

    Args:
        spec: its settings; `spec.model` is not looked at.
        folder: of a pipeline's weights, in the standard layout.
        name: the model's, for errors.
        param: the field that named it, such as `edit.model`.
        prefix: how descriptions begin, with `{}` where the class goes.
        device: where it computes.
        edits: how many are to be made, for the default of `spec.compiled`; None is few.

    Raises:
        InputProblem: the folder is no such model or cannot be read, the template has unknown places, a
            setting is given that this editor does not have, or the strength leaves no step.
    """
    kind = KINDS[spec.editor]
    written = prompts(spec.editor, spec.template, prefix, beside(param, "template"))
    index = _index(folder, name, kind, spec.editor, param)
    resolved = precision.resolve(spec.precision, device)
    pipeline = _pipeline(kind, folder, name, param, index, getattr(torch, resolved))
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    model: Model = kind.model(pipeline, spec, param)
    channels_last(pipeline.vae)
    on_cuda = torch.device(device).type == "cuda"
    compiled = (
        (on_cuda and (edits or 0) > COMPILED_FROM) if spec.compiled is None else spec.compiled
    )
    if compiled:
        getattr(pipeline, kind.denoiser).compile_repeated_blocks()
    model.facts |= {"precision": resolved, "compiled": compiled}
    return Editor(model, written, spec.batch_size)


def _index(folder: Path, name: str, kind: Kind, editor: str, param: str) -> dict[str, Any]:
    """Return the folder's index.

    Raises:
        InputProblem: there is none, or it is another pipeline's.
    """
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputProblem(
            "model_incomplete",
            f"The model {name!r} has no {INDEX} that can be read: {first_line(error)}",
            param,
        ) from error
    if index.get("_class_name") not in kind.folders:
        raise InputProblem(
            "model_of_another_kind",
            f"The model {name!r} is a {index.get('_class_name')}; the editor `{editor}` needs a "
            f"{' or '.join(kind.folders)}.",
            param,
        )
    return index


def _pipeline(
    kind: Kind, folder: Path, name: str, param: str, index: dict[str, Any], narrow: torch.dtype
) -> Any:
    checked = index.get("requires_safety_checker") and (index.get("safety_checker") or [None])[0]
    unchecked = {"safety_checker": None, "requires_safety_checker": False}
    wide_text = {"default": torch.float32, "unet": narrow, "vae": narrow}
    everything = {"default": narrow}
    try:
        return kind.pipeline.from_pretrained(
            folder,
            dtype=wide_text if kind.denoiser == "unet" else everything,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            **({} if checked or kind.denoiser != "unet" else unchecked),
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise InputProblem(
            "model_incomplete",
            f"The model {name!r} cannot be loaded from its folder: {first_line(error)}",
            param,
        ) from error

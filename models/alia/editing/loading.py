"""Editors from local folders in the standard layout of diffusers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.utils import logging
from transformers.utils import logging as tensors

from models import precision
from models.alia.catalogue import INDEX, PIPELINES
from models.alia.editing import stable
from models.alia.editing.engine import Editor, Model
from models.alia.editing.flux2 import Flux2Klein, SourcesFlux2KleinPipeline
from models.alia.editing.prompts import prompts
from models.alia.editing.scheduling import beside
from models.alia.folders import OFFLINE, UNREADABLE, incomplete, of_another_kind
from models.alia.spec import EditorName, EditSpec
from models.errors import InputProblem, first_line
from models.memory_format import channels_last

COMPILED_FROM = 1000
"""Edits above which compiling, about a minute, is worth its time."""


@dataclass(frozen=True)
class Kind:
    """How an editor is loaded.

    Attributes:
        pipeline: the class that a folder is loaded by.
        model: what the engine calls it through.
        denoiser: the pipeline's part that denoises.
        leads_away: whether it has a negative prompt.
    """

    pipeline: Any
    model: Any
    denoiser: str = "unet"
    leads_away: bool = True


KINDS: dict[EditorName, Kind] = {
    "img2img": Kind(diffusers.StableDiffusionImg2ImgPipeline, stable.ImageToImage),
    "txt2img": Kind(diffusers.StableDiffusionPipeline, stable.TextToImage),
    "instruct_pix2pix": Kind(
        diffusers.StableDiffusionInstructPix2PixPipeline, stable.InstructPix2Pix
    ),
    "lcm": Kind(
        diffusers.LatentConsistencyModelImg2ImgPipeline,
        stable.LatentConsistency,
        leads_away=False,
    ),
    "flux2_klein": Kind(
        SourcesFlux2KleinPipeline,
        Flux2Klein,
        "transformer",
        leads_away=False,
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
    if spec.negative and not kind.leads_away:
        raise InputProblem(
            "setting_not_used",
            f"The editor `{spec.editor}` has no negative prompt: leave it empty.",
            beside(param, "negative"),
        )
    index = _index(folder, name, spec.editor, param)
    resolved = precision.resolve(spec.precision, device)
    pipeline = _pipeline(kind, folder, name, param, index, getattr(torch, resolved))
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    model: Model = kind.model(pipeline, spec, param)
    on_cuda = torch.device(device).type == "cuda"
    if on_cuda:  # on a CPU, norms of such a layout take what its convolutions gain
        channels_last(pipeline.vae)
        channels_last(getattr(pipeline, kind.denoiser))
    compiled = (
        (on_cuda and (edits or 0) > COMPILED_FROM) if spec.compiled is None else spec.compiled
    )
    if compiled:
        getattr(pipeline, kind.denoiser).compile_repeated_blocks()
    model.facts |= {"precision": resolved, "compiled": compiled}
    return Editor(model, written, spec.batch_size)


def _index(folder: Path, name: str, editor: EditorName, param: str) -> dict[str, Any]:
    """Return the folder's index.

    Raises:
        InputProblem: there is none, or it is another pipeline's.
    """
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise incomplete(name, f"{INDEX}: {first_line(error)}", param) from error
    pipeline = index.get("_class_name")
    if editor not in PIPELINES.get(str(pipeline), ()):
        needed = [one for one, editors in PIPELINES.items() if editor in editors]
        raise of_another_kind(name, f"{pipeline}", f"{' or '.join(needed)} for `{editor}`", param)
    return index


def _pipeline(
    kind: Kind, folder: Path, name: str, param: str, index: dict[str, Any], narrow: torch.dtype
) -> Any:
    checked = index.get("requires_safety_checker", True) and (folder / "safety_checker").is_dir()
    unchecked = {"safety_checker": None, "requires_safety_checker": False}
    wide_text = {"default": torch.float32, "unet": narrow, "vae": narrow}
    logging.disable_progress_bar()  # a bar for every part, on the service's standard error
    tensors.disable_progress_bar()
    try:
        return kind.pipeline.from_pretrained(
            folder,
            dtype=wide_text if kind.denoiser == "unet" else narrow,
            use_safetensors=True,
            **OFFLINE,
            **({} if checked or kind.denoiser != "unet" else unchecked),
        )
    except UNREADABLE as error:
        raise incomplete(name, first_line(error), param) from error

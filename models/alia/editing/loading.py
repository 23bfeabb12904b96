"""Editors from local folders in the standard layout of diffusers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.utils import logging
from transformers.utils import logging as text_logging

from models import precision
from models.alia.catalogue import INDEX, PIPELINES
from models.alia.editing import stable
from models.alia.editing.batching import automatic
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
        text_encoder: the class of the part that reads prompts.
        leads_away: whether it has a negative prompt.
    """

    pipeline: Any
    model: Any
    denoiser: str = "unet"
    text_encoder: Any = transformers.CLIPTextModel
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
        transformers.Qwen3ForCausalLM,
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
    return Editor(model, written, spec.batch_size or automatic(model.sizes.side, device))


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
    """Return the folder's pipeline, with denoiser and VAE of this type.

    Raises:
        InputProblem: a part or some of its weights cannot be read.
    """
    for log in (logging, text_logging):
        log.disable_progress_bar()  # a bar for every part, on the service's standard error
        log.set_verbosity_error()  # what is missing is told below
    of_stable = kind.denoiser == "unet"
    checked = index.get("requires_safety_checker", True) and (folder / "safety_checker").is_dir()
    unchecked = {"safety_checker": None, "requires_safety_checker": False}
    try:
        pipeline = kind.pipeline.from_pretrained(
            folder,
            text_encoder=_text_encoder(
                # CLIP is small, and noise is drawn in its type; a language model is not.
                kind,
                folder,
                name,
                param,
                index,
                torch.float32 if of_stable else narrow,
            ),
            dtype={"default": torch.float32, kind.denoiser: narrow, "vae": narrow},
            use_safetensors=True,
            **OFFLINE,
            **(unchecked if of_stable and not checked else {}),
        )
    except UNREADABLE as error:
        raise incomplete(name, first_line(error), param) from error
    for part in (kind.denoiser, "vae"):
        _refuse_missing(
            [key for key, weight in getattr(pipeline, part).named_parameters() if weight.is_meta],
            part, name, param,
        )  # fmt: skip
    return pipeline


def _text_encoder(
    kind: Kind, folder: Path, name: str, param: str, index: dict[str, Any], dtype: torch.dtype
) -> Any:
    """Return the text encoder. Pipelines would draw weights that lack at random, and go on.

    Raises:
        InputProblem: it is of a class that this editor does not have, or weights lack.
    """
    found = (index.get("text_encoder") or [None, None])[1]
    if found != kind.text_encoder.__name__:
        needed = f"one with a {kind.text_encoder.__name__}"
        raise of_another_kind(name, f"a pipeline whose text encoder is {found}", needed, param)
    encoder, told = kind.text_encoder.from_pretrained(
        folder / "text_encoder",
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
        **OFFLINE,
    )
    _refuse_missing(sorted(told["missing_keys"]), "text_encoder", name, param)
    return encoder.eval()


def _refuse_missing(missing: list[str], part: str, name: str, param: str) -> None:
    if missing:
        lacking = f"{part} has no weights {missing[0]!r}, and {len(missing) - 1} more lack"
        raise incomplete(name, lacking, param)

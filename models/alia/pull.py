"""Fetching a model of ALIA's list from the hub, once: settings, vocabularies and safetensors."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import hf_hub_download

from models.alia.allowed import ALLOWED
from models.alia.catalogue import INDEX, OPTIONAL, SETTINGS, Found, available, components, find
from models.encoders.folder import CONFIG
from models.encoders.pull import OnProgress, fetch, one_model, whole_weights, without_safetensors
from models.errors import InputProblem

PART_WEIGHTS = re.compile(r"(model|diffusion_pytorch_model)(-\d+-of-\d+)?\.safetensors")
"""Names of weights in full precision. Variants (`.fp16.`) are left out: one set of files gives one
revision, and bfloat16 is rounded from what was trained."""

ABOUT = re.compile(r"README\.md|LICENSE(\.\w+)?")

WANTED = re.compile(f"{PART_WEIGHTS.pattern}|{SETTINGS.pattern}|{ABOUT.pattern}")
"""What is fetched of a model of transformers. No pickle, no code."""


def pull(
    model: str, on_progress: OnProgress = lambda _done, _total: None, endpoint: str | None = None
) -> Found:
    """Fetch ``model`` into the Hugging Face cache and return it; at hand already, fetch nothing.

    Commit, progress and address are as in `models.encoders.pull`.

    Raises:
        InputProblem: ``model_not_allowed``, ``model_without_safetensors``, ``model_incomplete``,
            ``not_enough_disk`` or ``model_download_failed``.
    """
    at_hand = available()
    if model in at_hand:
        return at_hand[model]
    if model not in ALLOWED:
        return find(model, "editor", "model")
    listed = ALLOWED[model]

    def choose(names: Sequence[str], commit: str) -> list[str]:
        if listed.role != "editor":
            return one_model(model, names, WANTED)
        if INDEX not in names:
            raise InputProblem("model_incomplete", f"The hub has no {INDEX} of {model!r}.", "model")
        return _pipeline(model, names, _parts_of(model, commit, endpoint))

    fetch(model, listed.revision, choose, on_progress, endpoint)
    return find(model, listed.role, "model")


def _parts_of(model: str, commit: str, endpoint: str | None) -> list[str]:
    """Return the parts that the hub's index of a pipeline names."""
    path = hf_hub_download(model, INDEX, revision=commit, endpoint=endpoint)
    return components(json.loads(Path(path).read_text("utf-8")))


def _pipeline(model: str, names: Sequence[str], parts: Sequence[str]) -> list[str]:
    """Return the files of a pipeline to fetch: those of its parts alone.

    What else lies beside them, such as the same weights in one file, is not read.
    """
    wanted = [name for name in names if name == INDEX or ABOUT.fullmatch(name)]
    for part in parts:
        wanted += _part(model, part, names)
    return wanted


def _part(model: str, part: str, names: Sequence[str]) -> list[str]:
    """Return the files of one part; none of an optional one that has no safetensors."""
    inside = [name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/")]
    settings = [name for name in inside if SETTINGS.fullmatch(name)]
    files = whole_weights([name for name in inside if PART_WEIGHTS.fullmatch(name)])
    if CONFIG in settings and not files:
        if part in OPTIONAL:
            return []
        raise without_safetensors(model, part)
    if not settings and part not in OPTIONAL:
        raise InputProblem(
            "model_incomplete", f"The hub has no part {part!r} of {model!r}.", "model"
        )
    return [f"{part}/{name}" for name in (*settings, *files)]

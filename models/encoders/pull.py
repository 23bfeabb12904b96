"""Fetching a model of the allow-list from the hub, once; nothing else here needs a network."""

import re
import shutil
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import cast

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils.tqdm import disable_progress_bars

from models.encoders.allowed import ALLOWED
from models.encoders.catalogue import Found, available, find
from models.encoders.folder import CONFIG
from models.encoders.hub import record, recorded, store_of
from models.errors import InputProblem, first_line

WANTED = re.compile(
    r"model(-\d+-of-\d+)?\.safetensors|[\w.-]+\.(json|txt|model)|1_Pooling/config\.json"
    r"|README\.md|LICENSE"
)
"""What is fetched: weights as safetensors, settings, vocabularies. No pickle, no code."""

SPARE = 1.05
"""Free bytes that are asked for, per byte that is fetched."""

LOOK_SECONDS = 0.3

FAILURES: tuple[type[Exception], ...] = (
    OSError,
    *cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__),
)
"""What a fetch may raise; the first base is the error of the HTTP library that the hub's client uses,
which is no OSError."""

OnProgress = Callable[[int, int], None]


def pull(
    model: str, on_progress: OnProgress = lambda _done, _total: None, endpoint: str | None = None
) -> Found:
    """Fetch ``model`` into the Hugging Face cache and return it; at hand already, fetch nothing.

    The commit is the one that `ALLOWED` pins, or else the one that `main` names at the first pull. It
    is written down in the cache, so that a `main` that moves on changes no vector of this machine.

    Args:
        model: an id of `ALLOWED`.
        on_progress: told bytes that are there and bytes in all, a few times a second.
        endpoint: address of the hub; None: Hugging Face's, or `HF_ENDPOINT`.

    Raises:
        InputProblem: ``model_not_allowed``, ``model_without_safetensors``, ``not_enough_disk`` or
            ``model_download_failed``.
    """
    if model not in ALLOWED or model in available():
        return find(model, "model")
    fetch(
        model,
        ALLOWED[model].revision,
        lambda names, _commit: one_model(model, names, WANTED),
        on_progress,
        endpoint,
    )
    return find(model, "model")


def fetch(
    model: str,
    revision: str | None,
    choose: Callable[[Sequence[str], str], Collection[str]],
    on_progress: OnProgress,
    endpoint: str | None,
) -> None:
    """Fetch files of ``model`` into the Hugging Face cache, and write down which commit they are of.

    Args:
        model: an id of a list of ours.
        revision: the commit; None: the one that was pulled before, or else what `main` is now.
        choose: given the names of all files and the commit, returns those to fetch.
        on_progress: told bytes that are there and bytes in all.
        endpoint: address of the hub; None: the usual.

    Raises:
        InputProblem: ``not_enough_disk`` or ``model_download_failed``, and what ``choose`` raises.
    """
    disable_progress_bars()
    try:
        info = HfApi(endpoint=endpoint).model_info(
            model, revision=revision or recorded(model), files_metadata=True
        )
        commit = str(info.sha)
        there = {file.rfilename: file.size or 0 for file in info.siblings or []}
        sizes = {name: there[name] for name in choose(list(there), commit)}
        _check_disk(model, sum(sizes.values()))
        _download(model, commit, sizes, on_progress, endpoint)
    except FAILURES as error:
        raise InputProblem(
            "model_download_failed",
            f"The model {model!r} could not be fetched: {first_line(error)}",
            "model",
        ) from error
    record(model, commit)


def one_model(model: str, names: Sequence[str], pattern: re.Pattern[str]) -> list[str]:
    """Return the files of a model of transformers to fetch; of weights, those in one piece if there are.

    Raises:
        InputProblem: ``model_without_safetensors`` or ``model_incomplete``.
    """
    wanted = whole_weights([name for name in names if pattern.fullmatch(name)])
    if not any(name.endswith(".safetensors") for name in wanted):
        raise without_safetensors(model, "")
    if CONFIG not in wanted:
        raise InputProblem("model_incomplete", f"The hub has no {CONFIG} of {model!r}.", "model")
    return wanted


def whole_weights(names: Sequence[str]) -> list[str]:
    """Return the names without weights in shards, where the weights are there in one piece too."""
    whole = any(name.endswith(".safetensors") and "-of-" not in name for name in names)
    return [name for name in names if not (whole and "-of-" in name)]


def without_safetensors(model: str, part: str) -> InputProblem:
    """Return what is said of a model, or a part of it, whose weights could run code when they are read."""
    of = f"the part {part!r} of " if part else ""
    return InputProblem(
        "model_without_safetensors",
        f"The hub has no weights of {of}{model!r} as safetensors, and other formats can run code: "
        "convert them and put the folder into CULTIVAR_MODELS.",
        "model",
    )


def _check_disk(model: str, size: int) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < SPARE * size:
        raise InputProblem(
            "not_enough_disk",
            f"The model {model!r} takes {size / 1e6:,.0f} MB; {free / 1e6:,.0f} MB are free in "
            f"{cache}. HF_HOME names another place.",
            "model",
        )


def _download(
    model: str, commit: str, sizes: dict[str, int], on_progress: OnProgress, endpoint: str | None
) -> None:
    """Fetch the files while this thread tells how much of them has come."""
    blobs, total = store_of(model) / "blobs", sum(sizes.values())
    before = _bytes_in(blobs)
    failure: list[Exception] = []

    def fetch() -> None:
        try:
            snapshot_download(model, revision=commit, allow_patterns=list(sizes), endpoint=endpoint)
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=fetch, daemon=True, name="pull")
    thread.start()
    while thread.is_alive():
        on_progress(min(total, _bytes_in(blobs) - before), total)
        thread.join(LOOK_SECONDS)
    if failure:
        raise failure[0]
    on_progress(total, total)


def _bytes_in(folder: Path) -> int:
    size = 0
    for file in folder.glob("*"):
        try:
            size += file.stat().st_size
        except FileNotFoundError:  # renamed since it was listed, having come whole
            continue
    return size

"""Fetching a model of the allow-list from the hub, once; nothing else here needs a network."""

import re
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

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
    disable_progress_bars()
    try:
        info = HfApi(endpoint=endpoint).model_info(
            model, revision=ALLOWED[model].revision or recorded(model), files_metadata=True
        )
        sizes = {file.rfilename: file.size or 0 for file in _wanted(model, info.siblings or [])}
        _check_disk(model, sum(sizes.values()))
        commit = str(info.sha)
        _download(model, commit, sizes, on_progress, endpoint)
    except FAILURES as error:
        raise InputProblem(
            "model_download_failed",
            f"The model {model!r} could not be fetched: {first_line(error)}",
            "model",
        ) from error
    record(model, commit)
    return find(model, "model")


def _wanted(model: str, files: Sequence[Any]) -> list[Any]:
    """Return the files to fetch; of weights, those in one piece if there are."""
    wanted = [file for file in files if WANTED.fullmatch(file.rfilename)]
    names = {file.rfilename for file in wanted}
    if "model.safetensors" in names:
        wanted = [file for file in wanted if "-of-" not in file.rfilename]
    elif not any(name.endswith(".safetensors") for name in names):
        raise InputProblem(
            "model_without_safetensors",
            f"The hub has no weights of {model!r} as safetensors, and other formats can run code: "
            f"convert them and put the folder into CULTIVAR_MODELS.",
            "model",
        )
    if CONFIG not in names:
        raise InputProblem("model_incomplete", f"The hub has no {CONFIG} of {model!r}.", "model")
    return wanted


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
